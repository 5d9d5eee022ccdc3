"""The sender's entries in the delivery ledger: what comes at the same time goes into one transaction."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from channels.presence import Presence
from runtime.clock import Clock
from runtime.logs import get_logger
from schemas.errors import TemporaryError
from schemas.states import DeliveryState
from store import attempts, deliveries
from store.attempts import Begin, End
from store.deliveries import Due
from store.store import Store
from store.together import Together

AT_ONCE = 64
LINGER_S = 0.02
"""So long an end waits for others: each transaction costs, and nobody waits for an end."""
RETRY_S = 1.0
NO_WORDS = "the reason could not be written down; the log has it"

log = get_logger(__name__)


class Book:
    """Begins and ends of attempts."""

    def __init__(self, store: Store, clock: Clock, presence: Presence) -> None:
        self._store, self._clock, self._presence = store, clock, presence
        self._begins: Together[Begin, bool] = Together("email.begin", self._begin, most=AT_ONCE)
        self._ends: Together[End, bool] = Together("email.end", self._end, most=AT_ONCE, linger_s=LINGER_S)

    async def begin(self, item: Due, provider_id: str) -> str | None:
        """Take it for one attempt: the name under which it is ours, on disk when this returns. None: somebody else
        has it. Raises StoreUnavailable."""
        owner = self._presence.owner
        began = await self._begins.add(Begin(item.reply.id, item.recipient, owner, provider_id))
        return owner if began else None

    async def give_back(self, item: Due, owner: str) -> None:
        """After a begin that raised: it may be on disk all the same, and nobody else would ever take it from us. Raises
        StoreUnavailable."""
        attempting = (DeliveryState.ATTEMPTING,)
        words = "the database went away as the attempt began: nothing was sent"
        await self._ends.add(
            End(
                item.reply.id,
                item.recipient,
                DeliveryState.DEFERRED,
                attempting,
                owner=owner,
                detail=words,
                uncounted=True,
            )
        )

    async def end(
        self,
        item: Due,
        owner: str,
        to: DeliveryState,
        detail: str = "",
        due_at: datetime | None = None,
        *,
        relay_away: bool = False,
        uncounted: bool = False,
    ) -> None:
        """Write how the attempt ended, as soon as the database takes it: nobody else can, while we are there."""
        end = End(
            item.reply.id,
            item.recipient,
            to,
            (DeliveryState.ATTEMPTING,),
            owner=owner,
            detail=detail,
            due_at=due_at,
            relay_away=relay_away,
            uncounted=uncounted,
        )
        while True:
            try:
                written = await self._ends.add(end)
            except TemporaryError as error:
                log.warning("the outcome could not be written yet", reply=item.reply.id, error=str(error))
                await asyncio.sleep(RETRY_S)
                continue
            except Exception:  # the words, if anything: the state is worth more
                log.exception("the outcome could not be written", reply=item.reply.id, outcome=to.value)
                end = replace(end, detail=NO_WORDS)
                await asyncio.sleep(RETRY_S)
                continue
            if not written:  # we were taken for gone: the row says unknown, and that is for a person to mend
                log.warning("an outcome came too late", reply=item.reply.id, outcome=to.value)
            return

    async def relay_is_back(self, account: str) -> None:
        """What waits for the account's relay is due, as soon as the database takes it."""
        while True:
            now = self._clock.now()
            try:
                due = await self._store.database.write(
                    lambda conn, now=now: deliveries.due_now(conn, now, account=account, relay_was_away=True)  # type: ignore[misc]
                )
                break
            except TemporaryError as error:
                log.warning("what waits for the relay waits on", account=account, error=str(error))
                await asyncio.sleep(RETRY_S)
        if due:
            log.info("the relay is back: what waited for it is due", account=account, mails=due)

    async def _begin(self, waiting: Sequence[Begin]) -> Sequence[bool]:
        now = self._clock.now()
        return await self._store.database.write(lambda conn: attempts.begin_all(conn, waiting, now))

    async def _end(self, waiting: Sequence[End]) -> Sequence[bool]:
        now = self._clock.now()
        return await self._store.database.write(
            lambda conn: attempts.finish_all(conn, self._store.outbox, waiting, now)
        )
