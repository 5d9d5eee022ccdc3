"""The outbox as the relay sees it: leases per shard, what is pending, what was confirmed or refused."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from sqlalchemy.engine import Connection

from schemas.dead_letter import DeadLetter, Place
from schemas.errors import BrokerUnavailable
from schemas.outbox import OutboxRow
from schemas.states import InteractionState
from store import dead_letters, leases, ledger, outbox
from store.database import Database

_RELAYS = "relay:"


class Clock(Protocol):
    def now(self) -> datetime: ...


class LogRolledBack(BrokerUnavailable):
    """The broker has lost the end of its log: nothing is confirmed until its new life has begun."""


class RelayOutbox:
    """Implements the relay's port over the database.

    `durable`: the broker keeps what it confirmed. One that is not may lose the end of its log: `forgot` is awaited,
    with the incarnation that did, whenever a confirmation shows it.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        shards: int,
        durable: bool,
        forgot: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._shards = shards
        self._durable = durable
        self._forgot = forgot
        self._leased_before = False
        self._wake = asyncio.Event()
        database.on_commit(self._wake.set, "outbox")

    def wake(self) -> asyncio.Event:
        return self._wake

    async def lease(self, owner: str, want: int | None, ttl_s: float) -> dict[int, int]:
        """Shard → epoch for all that `owner` holds now: its fair share among the relays, at most `want`."""
        names = [f"outbox:{shard}" for shard in range(self._shards)]

        first = not self._leased_before

        def work(conn: Connection) -> dict[str, int]:
            now = self._clock.now()
            if first and self._database.is_sqlite:  # we are the only process: whoever else holds something is gone
                leases.evict(conn, owner, now, "outbox:")
                leases.evict(conn, owner, now, _RELAYS)
            until = now + timedelta(seconds=ttl_s)
            return leases.share(conn, names, owner, now, until, members=_RELAYS, most=want)

        held = await self._database.write(work)
        self._leased_before = True
        return {int(name.partition(":")[2]): epoch for name, epoch in held.items()}

    async def release(self, owner: str) -> None:
        now = self._clock.now()

        def work(conn: Connection) -> None:
            leases.release(conn, owner, now, "outbox:")
            leases.release(conn, owner, now, _RELAYS)

        await self._database.write(work)

    async def pending(self, shards: Mapping[int, int], incarnation: str, limit: int) -> list[OutboxRow]:
        return await self._database.look(lambda conn: outbox.pending(conn, list(shards), incarnation, limit))

    async def confirmed(
        self, shards: Mapping[int, int], incarnation: str, rows: Sequence[tuple[OutboxRow, int, int]]
    ) -> None:
        """Raises LogRolledBack."""
        held = dict(shards)
        if await self._database.write(
            lambda conn: outbox.confirm(conn, held, incarnation, rows, durable=self._durable)
        ):
            return
        if self._forgot is not None:
            await self._forgot(incarnation)
        raise LogRolledBack(f"the log of {incarnation} ends below what it had confirmed")

    async def refused(self, shards: Mapping[int, int], row: OutboxRow, reason: str) -> None:
        """The broker will never take this row: it becomes a dead letter, and the next ones go on."""
        now = self._clock.now()
        held = dict(shards)

        def work(conn: Connection) -> None:
            if not outbox.held(conn, {row.shard: held.get(row.shard, 0)}):
                return
            interaction_id = row.event_id.partition(":")[0] if row.topic == "interactions" else None
            letter = DeadLetter.model_construct(
                id=interaction_id or f"outbox:{row.event_id}",
                conversation_id=row.key,
                interaction_id=interaction_id,
                round=1,
                reason="refused",
                detail=reason,
                place=Place(topic=row.topic),
                headers=row.headers,
                raw=row.value,
                dataref=None,
                media_type="application/json",
                at=now,
            )
            dead_letters.add(conn, letter)
            if interaction_id:
                ledger.move(
                    conn,
                    [interaction_id],
                    InteractionState.DEAD_LETTER,
                    frm=[InteractionState.RECEIVED],
                    actor="relay",
                    at=now,
                    reason="refused",
                )
            outbox.done(conn, [row.event_id])

        await self._database.write(work)
