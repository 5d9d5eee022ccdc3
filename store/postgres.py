"""PostgreSQL: a transaction per unit of work, from a pool; done again where another process came in between."""

import asyncio
import random
from collections.abc import Callable, Collection, Iterator
from typing import TypeVar

from sqlalchemy.engine import URL, Connection
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from schemas.errors import ConfigError, StoreUnavailable
from store.engine import BUSY_TIMEOUT_S, CALL_TIMEOUT_S, is_away, reason, sqlstate
from store.sql import News, taken_news
from store.wakeups import Wakeups

T = TypeVar("T")

ATTEMPTS = 6
_LOST = ("40001", "40P01")
"""Serialisation failure, deadlock."""
_AGAIN = (*_LOST, "23505")
"""And a racing insert: what was there has changed, so the same work may do now."""
_SHUT = ("28", "3D")
"""Wrong name or password, no such database: at a start no waiting mends that."""
_SHUT_HINT = "The server answers: is its name for us, the password, the database in the URL right?"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what it came of: how deep the driver's own is depends on where it happens."""
    found: BaseException | None = error
    while found is not None:
        yield found
        found = found.__cause__


class PostgresEngine:
    """`changed` is called after each commit of this process, and when another process has news."""

    def __init__(self, url: URL, *, read_only: bool, changed: Callable[[Collection[News] | None], None]) -> None:
        self._engine = create_async_engine(
            url.set(drivername="postgresql+asyncpg"), pool_size=10, max_overflow=10, pool_timeout=BUSY_TIMEOUT_S
        )
        # One snapshot for all that a unit reads, as SQLite gives it; a single statement is a snapshot by itself.
        self._reader = self._engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        self._looker = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        self._changed = changed
        self._wakeups = None if read_only else Wakeups(url, changed)

    async def start(self) -> None:
        try:
            await self.read(lambda conn: None)
        except Exception as error:
            for cause in _causes(error):
                # A ValueError is the driver's about what the URL says, or TLS's about a certificate.
                if sqlstate(cause).startswith(_SHUT) or isinstance(cause, ValueError):
                    raise ConfigError([f"store.url: {reason(cause)}"], hint=_SHUT_HINT) from error
            raise
        if self._wakeups is not None:
            self._wakeups.start()

    async def stop(self) -> None:
        if self._wakeups is not None:
            await self._wakeups.stop()
        await self._engine.dispose()

    async def read(self, work: Callable[[Connection], T]) -> T:
        return await self._read(self._reader, work)

    async def look(self, work: Callable[[Connection], T]) -> T:
        return await self._read(self._looker, work)

    async def _read(self, engine: AsyncEngine, work: Callable[[Connection], T]) -> T:
        for attempt in range(2):
            try:
                async with asyncio.timeout(CALL_TIMEOUT_S), engine.connect() as conn:
                    return await conn.run_sync(work)
            except Exception as error:
                # A pooled connection may be one to a server that has been started anew since.
                if attempt == 0 and getattr(error, "connection_invalidated", False):
                    continue
                if is_away(error):
                    raise StoreUnavailable(f"the store cannot be read: {reason(error)}") from error
                raise
        raise AssertionError("unreachable")

    async def write(self, work: Callable[[Connection], T]) -> T:
        attempt = 0
        while True:
            reached: list[str] = []
            try:
                async with asyncio.timeout(CALL_TIMEOUT_S):
                    return await self._transaction(work, reached)
            except Exception as error:
                attempt += 1
                code = sqlstate(error)
                if code in _AGAIN and attempt < ATTEMPTS:
                    await asyncio.sleep(random.uniform(0, 0.01 * 2**attempt))  # noqa: S311 - spreads, hides nothing
                    continue
                # The connection was dead before the commit was sent: a new one may do.
                if attempt == 1 and not reached and getattr(error, "connection_invalidated", False):
                    continue
                if is_away(error) or code in _LOST:
                    raise StoreUnavailable(f"the store cannot be written: {reason(error)}") from error
                raise

    async def _transaction(self, work: Callable[[Connection], T], reached: list[str]) -> T:
        def noted(conn: Connection) -> tuple[T, set[News]]:
            taken_news(conn)  # of a transaction that came to nothing
            return work(conn), taken_news(conn)

        async with self._engine.begin() as conn:
            result, told = await conn.run_sync(noted)
            reached.append("commit")
        self._changed(told)
        if told and self._wakeups is not None:
            self._wakeups.tell(told)
        return result
