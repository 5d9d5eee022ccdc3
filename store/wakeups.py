"""PostgreSQL's LISTEN and NOTIFY: what one process commits, the others hear of at once.

Sent after the commit, on a connection of its own, and at most every few milliseconds: a NOTIFY within a transaction
makes all commits wait for each other. It may get lost; everybody who listens polls as well, only less often.
"""

import asyncio
import uuid
from collections.abc import Callable, Collection
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

log = get_logger(__name__)


class Wakeups:
    """`heard` is called with what another process has news of (None: perhaps of anything); `tell` says what this one
    has news of."""

    def __init__(self, url: URL, heard: Callable[[Collection[News] | None], None]) -> None:
        self._dsn = url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._heard = heard
        self._me = uuid.uuid4().hex
        self._news = asyncio.Event()
        self._untold: set[News] = set()
        self._tasks = TaskOwner()

    def start(self) -> None:
        self._tasks.spawn("store.wakeups", self._run())

    def tell(self, of: Collection[News]) -> None:
        self._untold.update(of)
        self._news.set()

    async def stop(self) -> None:
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
                await asyncio.sleep(backoff(attempt, 0.1, 5.0))
                attempt += 1

    async def _connect(self) -> Any:
        import asyncpg

        connection = await asyncpg.connect(self._dsn, timeout=_TIMEOUT_S, command_timeout=_TIMEOUT_S)
        try:
            await connection.add_listener(CHANNEL, self._on_news)
        except BaseException:
            connection.terminate()
            raise
        return connection

    async def _pass_on(self, connection: Any) -> None:
        while True:
            try:
                async with asyncio.timeout(_ALIVE_S):
                    await self._news.wait()
            except TimeoutError:
                await connection.execute("SELECT 1")  # a link that went silent shows nothing by itself
                continue
            self._news.clear()
            told, self._untold = self._untold, set()
            await connection.execute(f"NOTIFY {CHANNEL}, '{self._me} {' '.join(sorted(told))}'")
            await asyncio.sleep(_GAP_S)

    def _on_news(self, _connection: Any, _pid: int, _channel: str, payload: str) -> None:
        sender, *told = payload.split()
        if sender != self._me:
            self._heard(cast(list[News], told))
