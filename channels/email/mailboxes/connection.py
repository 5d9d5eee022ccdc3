"""One IMAP connection, over aioimaplib: the only file that knows it, and its traps.

Anything but an answer (a timeout, a cancellation, a lost link) leaves it with a command that never ends, so the whole
connection is thrown away then. Its own timeouts do not cover all, so every call has one of ours.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

from aioimaplib.aioimaplib import CRLF, IMAP4, AioImapException, IMAP4ClientProtocol, Response

from channels.email.mailboxes import wire
from channels.email.mailboxes.wire import Listed, Selected
from channels.email.settings import ImapSettings
from schemas.errors import TemporaryError

CONNECT_TIMEOUT_S = 20.0
COMMAND_TIMEOUT_S = 30.0
SEARCH_TIMEOUT_S = 120.0
"""A search or a part of a large mail: servers may have to look at their disks first."""
IDLE_START_TIMEOUT_S = 15.0
CLOSE_TIMEOUT_S = 2.0
TOGETHER = 100
"""UIDs of one listing. Some 980 lines in one read end in a RecursionError inside the library."""
PART_BYTES = 1024 * 1024

T = TypeVar("T")


class MailboxUnavailable(TemporaryError):
    """The mail server cannot be reached, fell silent, or hung up."""


class SignInRefused(MailboxUnavailable):
    """The mail server does not take the password or the token (any more)."""


class CommandRefused(TemporaryError):
    """The server answered NO or BAD; the connection is as good as before."""


@dataclass(frozen=True, slots=True)
class Secret:
    """What to sign in with."""

    value: str
    is_token: bool = False

    def __repr__(self) -> str:
        return "Secret(…)"


class _Protocol(IMAP4ClientProtocol):  # type: ignore[misc]  # aioimaplib has no types
    def _continuation(self, line: bytes) -> None:
        pending = self.pending_sync_command
        if pending is not None and pending.name == "AUTHENTICATE":
            # XOAUTH2 says why it fails in a challenge, and refuses only once that has been answered.
            self.transport.write(CRLF)
            return
        super()._continuation(line)


class _Client(IMAP4):  # type: ignore[misc]
    def create_client(
        self,
        host: str,
        port: int,
        loop: asyncio.AbstractEventLoop | None,
        conn_lost_cb: Any = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        loop = loop or asyncio.get_running_loop()
        self.protocol = _Protocol(loop, conn_lost_cb)
        connecting = loop.create_connection(lambda: self.protocol, host, port, ssl=ssl_context)
        self._client_task = loop.create_task(connecting, name=f"imap.connect {host}:{port}")


class Connection:
    """One connection belongs to one coroutine: no two calls at a time. Every call raises MailboxUnavailable."""

    def __init__(self, settings: ImapSettings, config_dir: Path) -> None:
        self._settings = settings
        self._config_dir = config_dir
        self._lost = asyncio.Event()
        self._broken = False
        self._client: Any = None

    async def open(self, username: str, secret: Secret) -> Self:
        """Connect and sign in, or let go of everything. Raises SignInRefused too."""
        try:
            return await self._open(username, secret)
        except BaseException:
            await self.close()
            raise

    async def _open(self, username: str, secret: Secret) -> Self:
        tls = self._tls()
        host, port = self._settings.host, self._settings.port
        # Not IMAP4_SSL: that one cannot be told whom to call when the connection is lost.
        self._client = _Client(host, port, timeout=SEARCH_TIMEOUT_S, conn_lost_cb=self._on_lost, ssl_context=tls)
        await self._run("connect", self._client.wait_hello_from_server(), CONNECT_TIMEOUT_S)
        if secret.is_token:
            signing = self._client.protocol.xoauth2(username, secret.value)
        else:
            signing = self._client.protocol.login(wire.quoted(username), secret.value)
        answer = await self._run("sign in", signing, COMMAND_TIMEOUT_S)
        if answer.result != "OK":
            raise SignInRefused(f"{host} does not let {username} in: {_words(answer)}")
        await self._run("CAPABILITY", self._client.protocol.capability(), COMMAND_TIMEOUT_S)
        return self

    def can(self, capability: str) -> bool:
        return bool(self._client.has_capability(capability))

    async def select(self, folder: str) -> Selected:
        """Open a folder, or look at the open one anew. Raises CommandRefused when there is none."""
        answer = await self._ok("SELECT", self._client.protocol.select(wire.mailbox_name(folder)), SEARCH_TIMEOUT_S)
        found = wire.selected(answer.lines)
        if found is None:
            raise CommandRefused(f"SELECT {folder}: the server gives no UIDVALIDITY")
        return found

    async def above(self, uid: int) -> list[int]:
        """The UIDs above `uid`, ascending. `n:*` gives the last mail even when it lies below n."""
        search = self._client.protocol.search(f"UID {uid + 1}:*", charset=None, by_uid=True)
        answer = await self._ok("UID SEARCH", search, SEARCH_TIMEOUT_S)
        return [found for found in wire.found(answer.lines) if found > uid]

    async def listing(self, uids: Sequence[int]) -> dict[int, Listed]:
        """Size and time of arrival; a UID that is not in it has vanished. At most TOGETHER at once."""
        assert len(uids) <= TOGETHER
        asked = self._client.protocol.fetch(wire.uid_set(uids), "(UID RFC822.SIZE INTERNALDATE)", by_uid=True)
        answer = await self._ok("UID FETCH", asked, SEARCH_TIMEOUT_S)
        return {uid: one for uid, one in wire.listed(answer.lines).items() if uid in set(uids)}

    async def fetch(self, uid: int, limit: int) -> bytes | None:
        """The mail as it is, in parts, without marking it as seen. None when it has vanished. What is larger than it
        said is cut one byte above `limit`."""
        parts: list[bytes] = []
        size = 0
        while size <= limit:
            part = await self._part(uid, "", size, min(PART_BYTES, limit + 1 - size))
            if part is None:
                # Its end, if the server has nothing to say there; half a mail, if somebody has removed it meanwhile.
                return b"".join(parts) if parts and await self.listing([uid]) else None
            parts.append(part)
            size += len(part)
            if len(part) < PART_BYTES:
                break
        return b"".join(parts)

    async def header(self, uid: int, limit: int) -> bytes | None:
        """The mail's header block, cut at `limit` bytes."""
        return await self._part(uid, "HEADER", 0, limit)

    async def seen(self, uids: Iterable[int]) -> None:
        await self._ok(
            "UID STORE", self._client.protocol.store(wire.uid_set(uids), r"+FLAGS.SILENT (\Seen)", by_uid=True)
        )

    async def move(self, uids: Sequence[int], folder: str) -> bool:
        """False when the server can move nothing without taking other people's deleted mails along (RFC 6851, 4315)."""
        which, target, protocol = wire.uid_set(uids), wire.mailbox_name(folder), self._client.protocol
        if self.can("MOVE"):
            await self._ok("UID MOVE", protocol.move(which, target, by_uid=True), SEARCH_TIMEOUT_S)
        elif self.can("UIDPLUS"):
            await self._ok("UID COPY", protocol.copy(which, target, by_uid=True), SEARCH_TIMEOUT_S)
            await self._ok("UID STORE", protocol.store(which, r"+FLAGS.SILENT (\Deleted)", by_uid=True))
            await self._ok("UID EXPUNGE", protocol.expunge(which, by_uid=True), SEARCH_TIMEOUT_S)
        else:
            return False
        return True

    async def wait(self, seconds: float, stop: asyncio.Event) -> None:
        """Return when the server announces something, after `seconds`, or when `stop` is set."""
        idles = self.can("IDLE")
        idle: asyncio.Future[Any] | None = None
        if idles:
            idle = await self._run("IDLE", self._client.idle_start(timeout=seconds * 2 + 60), IDLE_START_TIMEOUT_S)
        queue = self._client.protocol.idle_queue
        waiting = [asyncio.ensure_future(each) for each in (queue.get(), self._lost.wait(), stop.wait())]
        try:
            await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            self._throw_away()
            raise
        finally:
            for each in waiting:
                each.cancel()
        if idle is not None and not self._lost.is_set():
            self._client.idle_done()
            await self._run("DONE", idle, COMMAND_TIMEOUT_S)
        elif not self._lost.is_set():
            await self._ok("NOOP", self._client.protocol.simple_command("NOOP"))
        while not queue.empty():
            queue.get_nowait()
        self._alive("IDLE")

    async def close(self) -> None:
        """Say good-bye if the connection is any good, and let go of it. Never raises, but when it is cancelled."""
        if self._client is None:
            return
        try:
            if not self._broken and not self._lost.is_set():
                with contextlib.suppress(TemporaryError):
                    await self._run("LOGOUT", self._client.protocol.logout(), CLOSE_TIMEOUT_S)
        finally:
            self._throw_away()
            if self._client.protocol.transport is not None:
                with contextlib.suppress(TimeoutError):  # the loop closes the socket a little later
                    async with asyncio.timeout(CLOSE_TIMEOUT_S):
                        await self._lost.wait()

    async def _part(self, uid: int, section: str, start: int, count: int) -> bytes | None:
        what = f"(UID BODY.PEEK[{section}]<{start}.{count}>)"
        answer = await self._ok("UID FETCH", self._client.protocol.fetch(str(uid), what, by_uid=True), SEARCH_TIMEOUT_S)
        return wire.body(answer.lines)

    async def _ok(self, what: str, coro: Coroutine[Any, Any, Response], timeout: float | None = None) -> Response:
        answer = await self._run(what, coro, timeout or COMMAND_TIMEOUT_S)
        if answer.result != "OK":
            raise CommandRefused(f"{what}: {_words(answer)}")
        return answer

    async def _run(self, what: str, coro: Coroutine[Any, Any, T] | asyncio.Future[T], timeout: float) -> T:
        """Raced against the loss of the connection: the library lets a command wait for ever then."""
        if self._broken or self._lost.is_set():
            if asyncio.iscoroutine(coro):
                coro.close()
            self._alive(what)
        task, lost = asyncio.ensure_future(coro), asyncio.ensure_future(self._lost.wait())
        try:
            await asyncio.wait({task, lost}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise MailboxUnavailable(f"{what}: {'the server hung up' if lost.done() else 'no answer in time'}")
        except (AioImapException, OSError, EOFError, TimeoutError, ValueError) as error:
            self._throw_away()
            raise MailboxUnavailable(f"{what}: {type(error).__name__}: {_clean(str(error))}") from error
        except BaseException:
            self._throw_away()
            raise
        finally:
            for each in (task, lost):
                each.cancel()

    def _alive(self, what: str) -> None:
        if self._broken or self._lost.is_set():
            self._throw_away()
            raise MailboxUnavailable(f"{what}: the server hung up")

    def _on_lost(self, _error: Exception | None) -> None:
        self._lost.set()

    def _throw_away(self) -> None:
        self._broken = True
        self._client._client_task.cancel()
        transport = self._client.protocol.transport
        if transport is not None:
            transport.abort()

    def _tls(self) -> ssl.SSLContext | None:
        if self._settings.tls == "none":
            return None
        ca = self._settings.ca_file
        try:
            return ssl.create_default_context(cafile=str(self._config_dir / ca) if ca else None)
        except (OSError, ssl.SSLError) as error:
            raise MailboxUnavailable(f"ca_file {ca} cannot be used: {error}") from error


def _words(answer: Response) -> str:
    last = bytes(answer.lines[-1]).decode("utf-8", "replace") if answer.lines else ""
    return f"{answer.result} {_clean(last)}"


def _clean(words: str) -> str:
    return " ".join(words.split())[:200]
