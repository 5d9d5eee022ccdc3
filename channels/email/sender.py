"""Sends the delivery ledger's due mails. At most one attempt of a reply may ever pass the final dot."""

import asyncio
import random
from collections.abc import Mapping
from datetime import datetime
from email.policy import SMTP

from channels.email.compose import compose, message_id
from channels.email.settings import EmailSettings, SmtpSettings
from channels.email.transfer import Outcome, transfer
from channels.port import Context
from channels.presence import Presence
from channels.retry import next_attempt
from runtime.logs import get_logger
from runtime.tasks import TaskOwner
from schemas.errors import TemporaryError
from schemas.states import DeliveryState
from store import deliveries
from store.deliveries import Due

IDLE_S = 0.5
PAUSE_S = 0.03
"""Replies that come together are looked for together."""
BATCH = 100

log = get_logger(__name__)


class EmailSender:
    """Service. One per process; several accounts, each with its own relay and limit of connections."""

    name = "email sender"

    def __init__(self, context: Context, accounts: Mapping[str, EmailSettings], presence: Presence) -> None:
        self._context = context
        self._presence = presence
        self._accounts = {name: settings for name, settings in accounts.items() if settings.smtp is not None}
        self._tasks = TaskOwner()
        self._wake = asyncio.Event()
        self._stopping = False
        self._room: dict[str, asyncio.Semaphore] = {}
        self._sent = context.metrics.counter("email_attempts_total", "Attempts to send a mail.", ["account", "state"])

    async def start(self) -> None:
        for name, settings in self._accounts.items():
            assert settings.smtp is not None
            self._room[name] = asyncio.Semaphore(settings.smtp.connections)
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
        await self._tasks.cancel_all(5.0)

    async def failed(self) -> BaseException:
        _, error = await self._tasks.wait_failed()
        if self._stopping:
            await asyncio.Event().wait()
        return error

    async def _run(self) -> None:
        taken: set[tuple[str, str]] = set()
        while not self._stopping:
            self._wake.clear()
            try:
                # One look per account: whoever has no relay, or a slow one, must not keep the others waiting.
                due = [item for account in self._accounts for item in await self._due(account, taken)]
            except TemporaryError as error:
                log.warning("paused", service=self.name, error=str(error))
                await asyncio.sleep(1.0)
                continue
            for item in due:
                key = (item.reply.id, item.recipient)
                if key in taken:
                    continue
                taken.add(key)
                task = self._tasks.spawn(f"email.send {item.reply.id}", self._send(item), forever=False)
                task.add_done_callback(lambda _, key=key: taken.discard(key))  # type: ignore[misc]
            try:
                async with asyncio.timeout(IDLE_S):
                    await self._wake.wait()
                await asyncio.sleep(PAUSE_S)
            except TimeoutError:
                continue

    async def _due(self, account: str, taken: set[tuple[str, str]]) -> list[Due]:
        now, besides = self._context.clock.now(), frozenset(taken)
        return await self._context.store.database.look(
            lambda conn: deliveries.due(conn, "email", now, BATCH, account=account, besides=besides)
        )

    async def _send(self, item: Due) -> None:
        settings = self._accounts[item.reply.account]
        assert settings.smtp is not None
        async with self._room[item.reply.account]:
            try:
                await self._attempt(item, settings, settings.smtp)
            except TemporaryError as error:
                # Before the attempt: nothing happened. After it: the row stays `attempting`, which becomes
                # `unknown` at the next start rather than a second mail.
                log.warning("the ledger could not be written", reply=item.reply.id, error=str(error))
                await asyncio.sleep(1.0)
            except Exception:  # a bug must not stop the other mails; this one's outcome stays open for a person
                log.exception("an attempt failed in an unforeseen way", reply=item.reply.id)

    async def _attempt(self, item: Due, settings: EmailSettings, relay: SmtpSettings) -> None:
        reply, now, owner = item.reply, self._context.clock.now(), self._presence.owner
        identity = message_id(reply, settings.address.rpartition("@")[2])
        store = self._context.store
        if not await store.database.write(
            lambda conn: deliveries.begin(conn, reply.id, item.recipient, owner=owner, provider_id=identity, now=now)
        ):
            return
        outcome = await self._deliver(item, settings, relay, now)
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

    async def _deliver(self, item: Due, settings: EmailSettings, relay: SmtpSettings, now: datetime) -> Outcome:
        try:
            mail = compose(item.reply, address=settings.address, name=settings.name, now=now).as_bytes(policy=SMTP)
        except Exception as error:  # a reply that cannot become a mail: a person has to see it
            return Outcome(DeliveryState.FAILED, f"the mail could not be made: {type(error).__name__}: {error}")
        # Machine-made mail has a null return path, so that no bounce of it can start a loop (RFC 3834 §3.3).
        sender = "" if item.reply.automatic else settings.address
        return await transfer(relay, sender, item.recipient, mail)
