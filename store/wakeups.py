"""PostgreSQL's LISTEN and NOTIFY: what one process commits, the others hear of at once.

Sent after the commit, on a connection of its own, and at most every few milliseconds: a NOTIFY within a transaction
makes all commits wait for each other. It may get lost; everybody who listens polls as well, only less often.
"""

import asyncio
import uuid
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any, cast

from sqlalchemy.engine import URL

from runtime.backoff import backoff
from runtime.logs import get_logger
from runtime.tasks import TaskOwner
from store.sql import News

CHANNEL = "switchboard"
_GAP_S = 0.005
_ALIVE_S = 15.0
_TIMEOUT_S = 10.0
_FAREWELL_S = 1.0
_BACKOFF_BASE_S = 0.1
_BACKOFF_CAP_S = 1.0
"""Short: nobody hears anything until we are back."""

log = get_logger(__name__)


class Wakeups:
    """`heard` is called with what another process has news of (None: perhaps of anything); `tell` says what this one
    has news of."""

    def __init__(self, url: URL, heard: Callable[[Collection[News] | None], None]) -> None:
        self._dsn = url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._heard = heard
        self._me = uuid.uuid4().hex
        self._look = asyncio.Event()
        """Set when there is news to tell, or the link has ended."""
        self._untold: set[News] = set()
        self._all_told = asyncio.Event()
        self._all_told.set()
        self._tasks = TaskOwner()

    def start(self) -> None:
        self._tasks.spawn("store.wakeups", self._run())

    def tell(self, of: Collection[News]) -> None:
        self._untold.update(of)
        self._all_told.clear()
        self._look.set()

    async def stop(self) -> None:
        """Tell what is not told yet, if that can be done soon: a command ends right after its commit."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_FAREWELL_S):
                await self._all_told.wait()
        await self._tasks.cancel_all(2.0)

    async def _run(self) -> None:
        attempt = 0
        while True:
            try:
                connection = await self._connect()
                attempt = 0
                self._heard(None)  # whatever was missed meanwhile
                try:
                    await self._pass_on(connection)
                finally:
                    connection.terminate()
            except Exception as error:  # whatever it is: polling goes on without us
                log.debug("no wake-ups for now", error=type(error).__name__, attempt=attempt)
                await asyncio.sleep(backoff(attempt, _BACKOFF_BASE_S, _BACKOFF_CAP_S))
                attempt += 1

    async def _connect(self) -> Any:
        import asyncpg

        connection = await asyncpg.connect(self._dsn, timeout=_TIMEOUT_S, command_timeout=_TIMEOUT_S)
        try:
            # Who only listens sends nothing that would fail.
            connection.add_termination_listener(lambda _connection: self._look.set())
            await connection.add_listener(CHANNEL, self._on_news)
        except BaseException:
            connection.terminate()
            raise
        return connection

    async def _pass_on(self, connection: Any) -> None:
        """Until the link ends: raises then."""
        while True:
            try:
                async with asyncio.timeout(_ALIVE_S):
                    await self._look.wait()
            except TimeoutError:
                await connection.execute("SELECT 1")  # a link that went silent shows nothing by itself
                continue
            self._look.clear()
            if connection.is_closed():
                raise ConnectionResetError("the server has ended the link")
            if self._untold:
                await self._notify(connection)
                await asyncio.sleep(_GAP_S)

    async def _notify(self, connection: Any) -> None:
        told, self._untold = self._untold, set()
        try:
            await connection.execute(f"NOTIFY {CHANNEL}, '{self._me} {' '.join(sorted(told))}'")
        except BaseException:
            self.tell(told)  # on the next link
            raise
        if not self._untold:
            self._all_told.set()

    def _on_news(self, _connection: Any, _pid: int, _channel: str, payload: str) -> None:
        sender, *told = payload.split()
        if sender != self._me:
            self._heard(cast(list[News], told))
