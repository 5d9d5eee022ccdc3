"""Reads all mailboxes: one supervised task per folder, and one process per folder when there are several."""

import asyncio
import os
import socket
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.engine import Connection as StoreConnection

from channels.email.mailboxes.alarms import SIGN_IN_REFUSED, UNREACHABLE, Alarm
from channels.email.mailboxes.batch import Batch
from channels.email.mailboxes.connection import Connection, SignInRefused
from channels.email.mailboxes.folder import Folder
from channels.email.mailboxes.sign_in import SignIn
from channels.email.oauth import SignInNeeded
from channels.email.reading import MailReader
from channels.email.settings import EmailSettings
from channels.port import Context
from runtime.backoff import backoff
from runtime.logs import get_logger
from runtime.tasks import TaskOwner
from schemas.errors import TemporaryError
from store import leases

PREFIX = "mailbox:"
MEMBERS = "mailboxes-of:"
TTL_S = 30.0
"""So long after its last sign a process counts as gone, and another one reads its mailboxes."""
BACKOFF_S = 1.0
BACKOFF_CAP_S = 60.0
SIGN_IN_CAP_S = 300.0
"""Servers lock accounts that try a bad password too often."""
UNREACHABLE_AFTER = 6
"""Attempts in a row, some two minutes, before somebody is told."""
STOP_TIMEOUT_S = 5.0
"""What a batch in hand gets to end. One that does not is read again, and recognised."""

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Place:
    account: str
    folder: str

    @property
    def key(self) -> str:
        return f"{PREFIX}{self.account}/{self.folder}"


class Mailboxes:
    """Service. A mailbox that cannot be read is tried again for ever, with growing pauses; the others go on."""

    name = "mailboxes"

    def __init__(self, context: Context, accounts: Mapping[str, EmailSettings], reader: MailReader) -> None:
        self._context = context
        self._accounts = {name: settings for name, settings in accounts.items() if settings.imap is not None}
        self._reader = reader
        self._places = {
            place.key: place
            for name, settings in self._accounts.items()
            if settings.imap is not None
            for place in (_Place(name, folder) for folder in settings.imap.folders)
        }
        self._sign_in = {
            name: SignIn(name, settings, context.data_dir, context.clock) for name, settings in self._accounts.items()
        }
        self._alarms = {key: Alarm(context, key) for key in self._places}
        self._owner = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self._tasks = TaskOwner()
        self._stopping = asyncio.Event()
        self._reading: dict[str, tuple[asyncio.Task[None], asyncio.Event]] = {}
        labels = ["account", "folder"]
        self._up = context.metrics.gauge("mailbox_up", "1 while the folder is read.", labels)
        self._mails = context.metrics.counter("mailbox_mails_total", "Mails found in mailboxes.", [*labels, "outcome"])

    async def start(self) -> None:
        """Raises StoreUnavailable. Waits for no mail server."""
        if not self._places:
            return
        if self._context.store.database.is_sqlite:  # we are the only process: whoever holds a lease is gone
            now = self._context.clock.now()
            await self._context.store.database.write(lambda c: leases.evict(c, self._owner, now, PREFIX))
            await self._context.store.database.write(lambda c: leases.evict(c, self._owner, now, MEMBERS))
        self._tasks.spawn("mailboxes.share", self._share())

    async def drain(self) -> None:
        """Begin no new batch, and finish those in hand."""
        self._stopping.set()
        for _, stop in self._reading.values():
            stop.set()
        if tasks := [task for task, _ in self._reading.values()]:
            await asyncio.wait(tasks, timeout=STOP_TIMEOUT_S)

    async def stop(self) -> None:
        self._stopping.set()
        await self._tasks.cancel_all(5.0)
        if not self._places:
            return
        now = self._context.clock.now()

        def leave(conn: StoreConnection) -> None:
            leases.release(conn, self._owner, now, PREFIX)
            leases.release(conn, self._owner, now, MEMBERS)

        try:
            async with asyncio.timeout(2.0):
                await self._context.store.database.write(leave)
        except (TemporaryError, TimeoutError) as error:  # then they run out by themselves
            log.debug("leases not given back", error=repr(error))

    async def failed(self) -> BaseException:
        _, error = await self._tasks.wait_failed()
        if self._stopping.is_set():
            await asyncio.Event().wait()
        return error

    async def _share(self) -> None:
        """Hold our share of the mailboxes, and read those that we hold."""
        while True:
            held: set[str] | None = None
            try:
                held = set(await self._context.store.database.write(self._hold))
            except TemporaryError as error:  # the cursors cannot be written then either: nothing can go wrong
                log.warning("paused", service=self.name, error=str(error))
            if held is not None and not self._stopping.is_set():
                for key in held - set(self._reading):
                    self._begin(key)
                for key in set(self._reading) - held:
                    log.info("another process reads this mailbox now", mailbox=key)
                    self._reading[key][0].cancel()
            await asyncio.sleep(TTL_S / 6)

    def _hold(self, conn: StoreConnection) -> dict[str, int]:
        now = self._context.clock.now()
        until = now + timedelta(seconds=TTL_S)
        return leases.share(conn, sorted(self._places), self._owner, now, until, members=MEMBERS, most=None)

    def _begin(self, key: str) -> None:
        stop = asyncio.Event()
        task = self._tasks.spawn(key, self._supervise(self._places[key], stop), forever=False)
        self._reading[key] = (task, stop)
        task.add_done_callback(lambda _: self._reading.pop(key, None))

    async def _supervise(self, place: _Place, stop: asyncio.Event) -> None:
        """Sessions one after the other, until `stop` is set. An error of any kind is this mailbox's alone."""
        up = self._up.labels(place.account, place.folder)
        alarm, attempt = self._alarms[place.key], 0

        async def fine() -> None:
            nonlocal attempt
            attempt = 0
            up.set(1)
            await alarm.clear()

        while not stop.is_set():
            cap = BACKOFF_CAP_S
            try:
                await self._session(place, stop, fine)
            except (SignInNeeded, SignInRefused) as error:
                cap = SIGN_IN_CAP_S
                how = f"{error.hint or 'is the password right?'}".replace("ACCOUNT", place.account)
                await alarm.sound(SIGN_IN_REFUSED, f"{error}; {how}", account=place.account)
            except TemporaryError as error:
                log.warning("a mailbox has to wait", mailbox=place.key, error=str(error))
                if attempt + 1 >= UNREACHABLE_AFTER:
                    await alarm.sound(UNREACHABLE, str(error), account=place.account)
            except Exception:
                log.exception("reading a mailbox failed in an unforeseen way", mailbox=place.key)
            finally:
                up.set(0)
            pause = max(BACKOFF_S / 4, backoff(attempt, BACKOFF_S, cap))
            attempt += 1
            try:
                async with asyncio.timeout(pause):
                    await stop.wait()
            except TimeoutError:
                continue

    async def _session(self, place: _Place, stop: asyncio.Event, fine: Callable[[], Awaitable[None]]) -> None:
        settings = self._accounts[place.account]
        assert settings.imap is not None
        imap, context = settings.imap, self._context
        count = self._mails

        def batch() -> Batch:
            return Batch(
                account=place.account,
                where=f"the mailbox's folder {place.folder} as UID",
                settings=settings,
                max_bytes=imap.max_bytes,
                reader=self._reader,
                intake=context.store.intake,
                now=context.clock.now,
                count=lambda outcome: count.labels(place.account, place.folder, outcome).inc(),
            )

        folder = Folder(
            key=place.key,
            account=place.account,
            folder=place.folder,
            settings=imap,
            store=context.store,
            now=context.clock.now,
            owner=self._owner,
            alarm=self._alarms[place.key],
            stop=stop,
            batch=batch,
            fine=fine,
        )
        connection = await self._sign_in[place.account].open(lambda: Connection(imap, context.config_dir))
        try:
            log.info("signed in", mailbox=place.key, host=imap.host)
            await folder.session(connection)
        finally:
            await connection.close()
