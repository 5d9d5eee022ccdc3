"""Sends the delivery ledger's due mails. At most one attempt of a reply may ever pass the final dot."""

import asyncio
import random
from collections.abc import Mapping
from datetime import timedelta

from channels.email.sending.book import Book
from channels.email.sending.compose import Extras, compose, message_id, tagged
from channels.email.sending.domains import NotYet, Turn
from channels.email.sending.hand import MOST, Hand, Place
from channels.email.sending.hold import ReturnPath
from channels.email.sending.lanes import Lane, Passed
from channels.email.sending.plain import in_words
from channels.email.sending.transfer import NOT_SURE, Outcome, clean, transfer
from channels.email.settings import EmailSettings
from channels.email.threading import Tokens
from channels.port import Context
from channels.presence import Presence
from channels.retry import next_attempt
from runtime.logs import get_logger
from runtime.tasks import TaskOwner
from schemas.addresses import compared
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
LOW = 50
"""So little in hand, and more is looked for."""
SEND = "email.send"
SURE_AGAIN = timedelta(seconds=5)
"""By then a process that stood still has written that it is there, or others have taken over."""
STOPPED = Outcome(DeliveryState.DEFERRED, "the sender stopped before it was its turn", untried=True)
SLOW = "that domain is slow to answer, and other mail needs the connections: it is tried again in its turn"
REFUSED = "it waits until our relay takes such mail again: "

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
        self._book = Book(context.store, context.clock, presence)
        self._hands = {name: Hand() for name in self._accounts}
        self._before_data: set[asyncio.Task[object]] = set()
        """Mails of which no more than the addresses can have been sent yet."""
        self._tasks = TaskOwner()
        self._wake = asyncio.Event()
        self._stopping = False
        self._sent = context.metrics.counter("email_attempts_total", "Attempts to send a mail.", ["account", "state"])

    async def start(self) -> None:
        self._context.store.database.on_commit(self._wake.set, "deliveries")
        self._tasks.spawn("email.sender", self._run())

    async def drain(self) -> None:
        """Begin nothing new, take back what has not said DATA yet, and let the rest end: an attempt that is cut short
        then would be unknown."""
        self._stopping = True
        self._wake.set()
        for task in tuple(self._before_data):
            task.cancel()
        while any(name.startswith(SEND) for name in self._tasks.running):  # noqa: ASYNC110 - bounded outside
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
        while not self._stopping:
            self._wake.clear()
            try:
                # One look per account: whoever has no relay, or a slow one, must not keep the others waiting.
                due = [item for account in self._ready() for item in await self._due(account)]
            except TemporaryError as error:
                log.warning("paused", service=self.name, error=str(error))
                await asyncio.sleep(1.0)
                continue
            for item in due:
                account, place = item.reply.account, (item.reply.id, item.recipient)
                self._hands[account].add(place)
                task = self._tasks.spawn(f"{SEND} {item.reply.id}", self._send(item), forever=False)
                task.add_done_callback(lambda _, at=(account, place): self._done(*at))  # type: ignore[misc]
            try:
                async with asyncio.timeout(IDLE_S):
                    await self._wake.wait()
                await asyncio.sleep(PAUSE_S)
            except TimeoutError:
                continue

    def _done(self, account: str, place: Place) -> None:
        self._hands[account].remove(place)
        if self._running_low(account):
            self._wake.set()

    def _running_low(self, account: str) -> bool:
        """Little is left in hand that does not wait for its domain."""
        return len(self._hands[account].places) - self._lanes[account].domains.waiting < LOW

    def _ready(self) -> list[str]:
        """Accounts whose relay takes mail, who have little left to do, and room in memory."""
        return [
            name
            for name, lane in self._lanes.items()
            if len(self._hands[name].places) < MOST and self._running_low(name) and lane.open()
        ]

    async def _due(self, account: str) -> list[Due]:
        now, lane, hand = self._context.clock.now(), self._lanes[account], self._hands[account]
        besides, not_at, paths = frozenset(hand.places), hand.full(lane.domains.is_slow), lane.open()
        automatic = None if len(paths) > 1 else "null" in paths
        return await self._context.store.database.look(
            lambda conn: deliveries.due(
                conn, "email", now, BATCH, account=account, besides=besides, not_at=not_at, automatic=automatic
            )
        )

    async def _send(self, item: Due) -> None:
        lane, settings = self._lanes[item.reply.account], self._accounts[item.reply.account]
        path = return_path(item.reply)
        me = asyncio.current_task()
        assert me is not None
        self._before_data.add(me)
        try:
            async with lane.turn(item.recipient) as turn:
                self._before_data.discard(me)
                if self._stopping or (passed := lane.passes(path)) is None:
                    return  # nothing was begun: it stays pending
                begun = await self._begin(item, settings)
                if begun is None:
                    return
                owner, mail = begun
                outcome = await self._attempt(item, settings, lane, mail, turn, passed)
            await self._end(item, owner, lane, outcome, path)
        except NotYet:
            pass  # it is looked for again
        except TemporaryError as error:  # before the attempt: nothing happened
            log.warning("the ledger could not be written", reply=item.reply.id, error=str(error))
            await asyncio.sleep(1.0)
        except Exception:  # a bug must not stop the other mails
            log.exception("a mail could not be begun or ended", reply=item.reply.id)
            await asyncio.sleep(1.0)
        finally:
            self._before_data.discard(me)

    async def _begin(self, item: Due, settings: EmailSettings) -> tuple[str, bytes | Outcome] | None:
        """Under which name the attempt is ours, and the mail; or why there is none."""
        identity = message_id(item.reply, settings.address.rpartition("@")[2], self._tokens)
        mail = await self._made(item, settings)
        owner = self._presence.owner
        try:
            began = await self._book.begin(item, identity)
        except TemporaryError:
            await self._give_back(item, owner)
            raise
        return None if began is None else (began, mail)

    async def _give_back(self, item: Due, owner: str) -> None:
        while not self._stopping:  # then whoever comes next finds it
            try:
                await self._book.give_back(item, owner)
                break
            except TemporaryError as error:
                log.warning("whether an attempt began is not known yet", reply=item.reply.id, error=str(error))
                await asyncio.sleep(1.0)

    async def _attempt(
        self, item: Due, settings: EmailSettings, lane: Lane, mail: bytes | Outcome, turn: Turn, passed: Passed
    ) -> Outcome:
        if isinstance(mail, Outcome):
            return mail
        # Machine-made mail has a null return path, so that no bounce of it can start a loop (RFC 3834 §3.3).
        sender = tagged(settings.address, item.reply, self._tokens) if settings.verp else settings.address
        path = return_path(item.reply)
        sender = "" if path == "null" else sender
        slow = Outcome(DeliveryState.DEFERRED, SLOW, untried=True)
        me, making_room = asyncio.current_task(), False
        assert me is not None

        def go() -> bool:
            self._before_data.discard(me)
            return self._presence.sure()

        def make_room() -> None:
            nonlocal making_room
            if me in self._before_data:
                making_room = True
                me.cancel()

        self._before_data.add(me)
        try:
            async with lane.connection(turn, make_room) as fits:
                if self._stopping:
                    return STOPPED
                if why := lane.refused_since(path, passed):
                    return Outcome(DeliveryState.DEFERRED, REFUSED + why, untried=True)
                return await transfer(lane.links, sender, item.recipient, mail, go) if fits else slow
        except asyncio.CancelledError:
            if not (self._stopping or making_room) or me not in self._before_data:
                raise
            me.uncancel()
            return STOPPED if self._stopping else slow
        except Exception as error:  # an attempt that stays open while we live is nobody's: it has to end
            log.exception("an attempt failed in an unforeseen way", reply=item.reply.id)
            state = DeliveryState.DEFERRED if me in self._before_data else DeliveryState.UNKNOWN
            return Outcome(state, clean(f"{type(error).__name__}: {error}"))
        finally:
            self._before_data.discard(me)

    async def _end(self, item: Due, owner: str, lane: Lane, outcome: Outcome, path: ReturnPath) -> None:
        state, detail = outcome.state, outcome.detail
        if state is DeliveryState.FAILED and not outcome.plain:
            detail = in_words(detail)
        try:
            await lane.learn(outcome, path)
        except Exception:  # what it tells of the relay is less than what became of the mail
            log.exception("an alarm failed", account=item.reply.account)
        self._sent.labels(item.reply.account, state.value).inc()
        due_at, now = None, self._context.clock.now()
        if detail == NOT_SURE:
            due_at = now + SURE_AGAIN
        if state is DeliveryState.DEFERRED and not outcome.untried:
            log.warning("a mail has to wait", account=item.reply.account, reply=item.reply.id, why=detail)
            due_at = next_attempt(item.attempt + 1, item.created_at, now, random.random())  # noqa: S311
            if due_at is None:
                state, detail = DeliveryState.FAILED, f"given up after {item.attempt + 1} attempts: {in_words(detail)}"
        if item.recipient != item.reply.recipient.address and state is not DeliveryState.SENT:
            detail = f"{item.recipient} in copy: {detail}"
        await self._book.end(item, owner, state, detail, due_at, relay_away=outcome.away, uncounted=outcome.untried)
        if lane.is_back(outcome, path):
            await self._book.relay_is_back(item.reply.account)

    async def _made(self, item: Due, settings: EmailSettings) -> bytes | Outcome:
        """The mail; or, when it cannot be made, what a person has to see. Raises StoreUnavailable."""
        reply, blobs, now = item.reply, self._context.store.blobs, self._context.clock.now()
        try:
            extras = Extras(
                tokens=self._tokens,
                reply_token=settings.plus_addressing,
                signature=settings.signature,
                html=settings.html,
                language=settings.language,
                quoted=await self._quoted(item) if settings.quote else "",
            )
            files = [(each, await blobs.get(each.dataref or "")) for each in reply.files]
            return compose(
                reply,
                address=settings.address,
                name=settings.name,
                now=now,
                extras=extras,
                files=files,
                recipient=item.recipient,
            )
        except TemporaryError:
            raise
        except ValueError as error:
            return Outcome(DeliveryState.FAILED, clean(f"the mail could not be made: {error}"), plain=True)
        except Exception as error:
            why = clean(f"the mail could not be made: {type(error).__name__}: {error}")
            return Outcome(DeliveryState.FAILED, why, plain=True)

    async def _quoted(self, item: Due) -> str:
        """What the customer wrote last, if it is sure who wrote it: nobody's words are sent to somebody else."""
        reply = item.reply
        if not reply.answers or item.recipient != reply.recipient.address:
            return ""
        last = reply.answers[-1]
        _, asked = (await self._context.store.database.read(lambda c: ledger.find_all(c, {last}))).get(
            last, (None, None)
        )
        if asked is None or asked.sender.verdict != "verified":
            return ""
        if compared(asked.sender.address) != compared(reply.recipient.address):
            return ""
        return (asked.content.new_text if isinstance(asked.content, EmailContent) else None) or asked.text


def return_path(reply: Reply) -> ReturnPath:
    return "null" if reply.automatic else "own"
