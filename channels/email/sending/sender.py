"""Sends the delivery ledger's due mails. At most one attempt of a reply may ever pass the final dot."""

import asyncio
import random
from collections.abc import Mapping
from datetime import datetime

from channels.email.sending.compose import Extras, compose, message_id, tagged, wire_address
from channels.email.sending.lanes import Lane
from channels.email.sending.plain import in_words
from channels.email.sending.transfer import Outcome, transfer
from channels.email.settings import EmailSettings
from channels.email.threading import Tokens
from channels.port import Context
from channels.presence import Presence
from channels.retry import next_attempt
from runtime.logs import get_logger
from runtime.tasks import TaskOwner
from schemas.errors import TemporaryError
from schemas.interaction import EmailContent
from schemas.reply import Reply
from schemas.states import DeliveryState
from store import deliveries, ledger
from store.deliveries import Due

IDLE_S = 0.5
PAUSE_S = 0.03
"""Replies that come together are looked for together."""
BATCH = 100
IN_HAND = 1000
"""At most so many mails of an account wait in memory for their turn: those of a slow domain must leave room."""

_Key = tuple[str, str, str]
"""Account, reply, recipient."""

log = get_logger(__name__)


class EmailSender:
    """Service. One per process; several accounts, each with its own relay and limit of connections."""

    name = "email sender"

    def __init__(self, context: Context, accounts: Mapping[str, EmailSettings], presence: Presence) -> None:
        self._context = context
        self._presence = presence
        self._accounts = {name: settings for name, settings in accounts.items() if settings.smtp is not None}
        self._tokens = Tokens(context.secret)
        self._lanes = {name: Lane(context, name, settings) for name, settings in self._accounts.items()}
        self._tasks = TaskOwner()
        self._wake = asyncio.Event()
        self._stopping = False
        self._sent = context.metrics.counter("email_attempts_total", "Attempts to send a mail.", ["account", "state"])

    async def start(self) -> None:
        self._context.store.database.on_commit(self._wake.set)
        self._tasks.spawn("email.sender", self._run())

    async def drain(self) -> None:
        """Begin nothing new, and let what is under way end: an attempt cut short would be unknown."""
        self._stopping = True
        self._wake.set()
        while any(name.startswith("email.send ") for name in self._tasks.running):  # noqa: ASYNC110 - bounded outside
            await asyncio.sleep(0.05)

    async def stop(self) -> None:
        self._stopping = True
        self._context.store.database.off_commit(self._wake.set)
        await self._tasks.cancel_all(5.0)
        for lane in self._lanes.values():
            lane.close()

    async def failed(self) -> BaseException:
        _, error = await self._tasks.wait_failed()
        if self._stopping:
            await asyncio.Event().wait()
        return error

    async def _run(self) -> None:
        taken: set[_Key] = set()
        while not self._stopping:
            self._wake.clear()
            try:
                # One look per account: whoever has no relay, or a slow one, must not keep the others waiting.
                due = [item for account in self._ready(taken) for item in await self._due(account, taken)]
            except TemporaryError as error:
                log.warning("paused", service=self.name, error=str(error))
                await asyncio.sleep(1.0)
                continue
            for item in due:
                key = (item.reply.account, item.reply.id, item.recipient)
                taken.add(key)
                task = self._tasks.spawn(f"email.send {item.reply.id}", self._send(item), forever=False)
                task.add_done_callback(lambda _, key=key: taken.discard(key))  # type: ignore[misc]
            try:
                async with asyncio.timeout(IDLE_S):
                    await self._wake.wait()
                await asyncio.sleep(PAUSE_S)
            except TimeoutError:
                continue

    def _ready(self, taken: set[_Key]) -> list[str]:
        """Accounts whose relay takes mail and who have room in memory."""
        held: dict[str, int] = {}
        for account, _, _ in taken:
            held[account] = held.get(account, 0) + 1
        return [name for name, lane in self._lanes.items() if held.get(name, 0) < IN_HAND and lane.open()]

    async def _due(self, account: str, taken: set[_Key]) -> list[Due]:
        now = self._context.clock.now()
        besides = frozenset((reply, recipient) for of, reply, recipient in taken if of == account)
        return await self._context.store.database.look(
            lambda conn: deliveries.due(conn, "email", now, BATCH, account=account, besides=besides)
        )

    async def _send(self, item: Due) -> None:
        lane = self._lanes[item.reply.account]
        async with lane.turn(item.recipient):
            if self._stopping or not lane.open():
                return  # nothing was begun: it stays pending
            try:
                await self._attempt(item, self._accounts[item.reply.account], lane)
            except TemporaryError as error:
                # Before the attempt: nothing happened. After it: the row stays `attempting`, which becomes
                # `unknown` at the next start rather than a second mail.
                log.warning("the ledger could not be written", reply=item.reply.id, error=str(error))
                await asyncio.sleep(1.0)
            except Exception:  # a bug must not stop the other mails; this one's outcome stays open for a person
                log.exception("an attempt failed in an unforeseen way", reply=item.reply.id)

    async def _attempt(self, item: Due, settings: EmailSettings, lane: Lane) -> None:
        reply, now, owner = item.reply, self._context.clock.now(), self._presence.owner
        identity = message_id(reply, settings.address.rpartition("@")[2], self._tokens)
        store = self._context.store
        quoted = await self._quoted(reply) if settings.quote else ""
        if not await store.database.write(
            lambda conn: deliveries.begin(conn, reply.id, item.recipient, owner=owner, provider_id=identity, now=now)
        ):
            return
        outcome = await self._deliver(item, settings, lane, now, quoted)
        if outcome.state is DeliveryState.FAILED:
            outcome = Outcome(DeliveryState.FAILED, in_words(outcome.detail))
        await lane.learn(outcome)
        self._sent.labels(reply.account, outcome.state.value).inc()
        ended = self._context.clock.now()
        due_at = None
        if outcome.state is DeliveryState.DEFERRED:
            due_at = next_attempt(item.attempt + 1, item.created_at, ended, random.random())  # noqa: S311
            if due_at is None:
                outcome = Outcome(DeliveryState.FAILED, f"given up after {item.attempt + 1} attempts: {outcome.detail}")
        while True:
            try:
                written = await store.database.write(
                    lambda conn: deliveries.finish(
                        conn,
                        store.outbox,
                        reply.id,
                        item.recipient,
                        outcome.state,
                        frm=[DeliveryState.ATTEMPTING],
                        now=ended,
                        owner=owner,
                        detail=outcome.detail,
                        due_at=due_at,
                    )
                )
                if not written:  # we were taken for gone: the row says unknown, and that is for a person to mend
                    log.warning("an outcome came too late", reply=reply.id, outcome=outcome.state.value)
                return
            except TemporaryError as error:
                log.warning("the outcome could not be written yet", reply=reply.id, error=str(error))
                await asyncio.sleep(1.0)

    async def _deliver(self, item: Due, settings: EmailSettings, lane: Lane, now: datetime, quoted: str) -> Outcome:
        reply = item.reply
        extras = Extras(
            tokens=self._tokens,
            reply_token=settings.plus_addressing,
            signature=settings.signature,
            html=settings.html,
            language=settings.language,
            quoted=quoted,
        )
        try:
            made = compose(reply, address=settings.address, name=settings.name, now=now, extras=extras)
            mail = made.as_bytes()
        except Exception as error:  # a reply that cannot become a mail: a person has to see it
            return Outcome(DeliveryState.FAILED, f"the mail could not be made: {type(error).__name__}: {error}")
        # Machine-made mail has a null return path, so that no bounce of it can start a loop (RFC 3834 §3.3).
        sender = tagged(settings.address, reply, self._tokens) if settings.verp else settings.address
        return await transfer(lane.links, "" if reply.automatic else sender, wire_address(item.recipient), mail)

    async def _quoted(self, reply: Reply) -> str:
        """What the customer wrote last, if it is sure who wrote it: nobody's words are sent to somebody else."""
        if not reply.answers:
            return ""
        last = reply.answers[-1]
        _, asked = (await self._context.store.database.read(lambda c: ledger.find_all(c, {last}))).get(
            last, (None, None)
        )
        if asked is None or asked.sender.verdict != "verified" or asked.sender.address != reply.recipient.address:
            return ""
        return (asked.content.new_text if isinstance(asked.content, EmailContent) else None) or asked.text
