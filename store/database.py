"""The one door to the database: units of work go in, results come out.

A *unit of work* is a plain function over a SQLAlchemy `Connection`. It may be run more than once (a neighbour in its
batch failed, a deadlock, a lost connection), so it must touch nothing but the connection.

SQLite: one writer task commits what waits as one transaction (group commit, BEGIN IMMEDIATE, synchronous=FULL),
readers use WAL snapshots of their own. PostgreSQL: a transaction per unit from the pool; processes hear of each other's
commits (`store/wakeups.py`).
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from sqlalchemy import event, text
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from runtime.logs import get_logger
from schemas.errors import ConfigError, StoreUnavailable
from store.sql import NEWS
from store.wakeups import Wakeups

T = TypeVar("T")

BATCH = 256
BUSY_TIMEOUT_S = 10.0
WRITE_TIMEOUT_S = 30.0
ATTEMPTS = 6
_AGAIN = ("40001", "40P01", "23505")
"""Serialisation failure, deadlock, a racing insert: what was there has changed, so the same work may do now."""
_AWAY = ("08", "53", "57P", "58", "55P03", "25006", "XX")
"""Classes of SQLSTATE that say something about the server, nothing about the work."""

log = get_logger(__name__)


@dataclass(slots=True)
class _Job:
    work: Callable[[Connection], Any]
    result: asyncio.Future[Any] = field(repr=False)


class Database:
    """Open with `async with Database.open(url, data_dir)`; `read_only=True` never writes (the router host)."""

    def __init__(self, url: URL, *, read_only: bool) -> None:
        self.url = url
        self.read_only = read_only
        self.is_sqlite = url.get_backend_name() == "sqlite"
        self._listeners: list[Callable[[], None]] = []
        self._queue: asyncio.Queue[_Job] = asyncio.Queue(maxsize=10_000)
        self._writer_task: asyncio.Task[None] | None = None
        self._reader: AsyncEngine
        self._writer: AsyncEngine
        if self.is_sqlite:
            self._reader = _sqlite_engine(url, writer=False)
            self._writer = self._reader if read_only else _sqlite_engine(url, writer=True)
        else:
            self._reader = self._writer = create_async_engine(
                url, pool_size=10, max_overflow=10, pool_timeout=BUSY_TIMEOUT_S
            )
        self._wakeups = None if self.is_sqlite or read_only else Wakeups(url, self._changed)

    @classmethod
    def at(cls, url: str, data_dir: Path, *, read_only: bool = False) -> Self:
        return cls(async_url(url, data_dir), read_only=read_only)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Connect, assert the safe settings, start the writer. Raises StoreUnavailable."""
        await self.read(_assert_durable if self.is_sqlite and not self.read_only else lambda c: None)
        if self.is_sqlite and not self.read_only:
            self._writer_task = asyncio.create_task(self._write_loop(), name="store-writer")
        if self._wakeups is not None:
            self._wakeups.start()

    async def stop(self) -> None:
        """Commit what was handed in, then close every connection."""
        if self._writer_task is not None:
            task, self._writer_task = self._writer_task, None
            try:
                async with asyncio.timeout(WRITE_TIMEOUT_S):
                    await self._queue.join()
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        if self._wakeups is not None:
            await self._wakeups.stop()
        await self._writer.dispose()
        if self._reader is not self._writer:
            await self._reader.dispose()

    def on_commit(self, listener: Callable[[], None]) -> None:
        """Call `listener` (quick, synchronous) after each commit of this process, and when another one has news."""
        self._listeners.append(listener)

    def off_commit(self, listener: Callable[[], None]) -> None:
        """Call it no more."""
        if listener in self._listeners:
            self._listeners.remove(listener)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a read transaction. Raises StoreUnavailable when the database is away."""
        for attempt in range(2):
            try:
                async with asyncio.timeout(WRITE_TIMEOUT_S), self._reader.connect() as conn:
                    return await conn.run_sync(work)
            except Exception as error:
                # A pooled connection may be one to a server that has been started anew since.
                if attempt == 0 and getattr(error, "connection_invalidated", False):
                    continue
                if is_away(error):
                    raise StoreUnavailable(f"the store cannot be read: {error}") from error
                raise
        raise AssertionError("unreachable")

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a transaction; when this returns, it is on disk. Raises what `work` raises."""
        if self.read_only:
            raise RuntimeError("this process opened the store to read")
        if not self.is_sqlite:
            return await self._write_one(work)
        if self._writer_task is None or self._writer_task.done():
            raise StoreUnavailable("the store's writer is not running")
        job = _Job(work, asyncio.get_running_loop().create_future())
        try:
            async with asyncio.timeout(WRITE_TIMEOUT_S):
                await self._queue.put(job)
                return await job.result  # type: ignore[no-any-return]
        except TimeoutError as error:
            raise StoreUnavailable("the store did not commit in time") from error

    async def _write_loop(self) -> None:
        while True:
            jobs = [await self._queue.get()]
            while len(jobs) < BATCH and not self._queue.empty():
                jobs.append(self._queue.get_nowait())
            try:
                await self._commit(jobs)
            except BaseException as error:
                _fail(jobs, error)
                raise
            finally:
                for _ in jobs:
                    self._queue.task_done()

    async def _commit(self, jobs: list[_Job]) -> None:
        jobs = [job for job in jobs if not job.result.cancelled()]
        if not jobs:
            return
        try:
            results = await self._transaction(lambda conn: [job.work(conn) for job in jobs])
        except Exception as error:
            if is_away(error):
                _fail(jobs, StoreUnavailable(f"the store cannot be written: {error}"))
                return
            if len(jobs) == 1:
                _fail(jobs, error)
                return
            for job in jobs:  # one of them is at fault: each on its own, so that the others do not suffer
                await self._commit([job])
        else:
            for job, result in zip(jobs, results, strict=True):
                if not job.result.done():
                    job.result.set_result(result)

    async def _write_one(self, work: Callable[[Connection], T]) -> T:
        attempt = 0
        while True:
            reached: list[str] = []
            try:
                async with asyncio.timeout(WRITE_TIMEOUT_S):
                    return await self._transaction(work, reached)
            except Exception as error:
                attempt += 1
                code = _sqlstate(error)
                if code in _AGAIN and attempt < ATTEMPTS:
                    await asyncio.sleep(random.uniform(0, 0.01 * 2**attempt))  # noqa: S311 - spreads, hides nothing
                    continue
                # The connection was dead before the commit was sent: a new one may do.
                if attempt == 1 and not reached and getattr(error, "connection_invalidated", False):
                    continue
                if is_away(error) or code in ("40001", "40P01"):
                    raise StoreUnavailable(f"the store cannot be written: {error}") from error
                raise

    async def _transaction(self, work: Callable[[Connection], T], reached: list[str] | None = None) -> T:
        async with self._writer.begin() as conn:
            result = await conn.run_sync(work)
            news = conn.sync_connection is not None and conn.sync_connection.info.pop(NEWS, False)
            if reached is not None:
                reached.append("commit")
        self._changed()
        if news and self._wakeups is not None:
            self._wakeups.tell()
        return result

    def _changed(self) -> None:
        for listener in tuple(self._listeners):
            listener()


def is_away(error: BaseException) -> bool:
    """True if the database could not be asked, whatever the question was."""
    if isinstance(error, OSError | TimeoutError | PoolTimeout | OperationalError | InterfaceError):
        return True
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    # The driver's own errors come out bare when they happen while connecting.
    return _sqlstate(error).startswith(_AWAY) or type(error).__module__.startswith("asyncpg.")


def _sqlstate(error: BaseException) -> str:
    found = getattr(getattr(error, "orig", error), "sqlstate", None)
    return found if isinstance(found, str) else ""


def _fail(jobs: list[_Job], error: BaseException) -> None:
    for job in jobs:
        if not job.result.done():
            job.result.set_exception(
                error if isinstance(error, Exception) else StoreUnavailable("the store is stopping")
            )


def async_url(url: str, data_dir: Path) -> URL:
    """`sqlite:///x.db` → aiosqlite below data_dir; `postgresql://…` → asyncpg. Raises ConfigError."""
    parsed = make_url(url)
    backend = parsed.get_backend_name()
    if backend == "sqlite":
        if not parsed.database:
            raise ConfigError(["store.url: an SQLite store needs a file, such as sqlite:///switchboard.db"])
        return parsed.set(drivername="sqlite+aiosqlite", database=str(data_dir / parsed.database))
    if backend == "postgresql":
        return parsed.set(drivername="postgresql+asyncpg")
    raise ConfigError([f"store.url: {backend!r} is not supported; use sqlite or postgresql"])


def _sqlite_engine(url: URL, *, writer: bool) -> AsyncEngine:
    engine = create_async_engine(
        url,
        poolclass=AsyncAdaptedQueuePool,
        pool_size=1 if writer else 4,
        max_overflow=0 if writer else 4,
        pool_timeout=BUSY_TIMEOUT_S,
        connect_args={"timeout": BUSY_TIMEOUT_S},
    )

    def connected(dbapi: Any, _record: Any) -> None:
        dbapi.isolation_level = None  # the driver's own transaction handling off: BEGIN is ours, below
        cursor = dbapi.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute("PRAGMA temp_store=MEMORY")
        if not writer:
            cursor.execute("PRAGMA query_only=ON")
        cursor.close()

    begin = text("BEGIN IMMEDIATE" if writer else "BEGIN")

    def begun(conn: Connection) -> None:
        conn.execute(begin)

    event.listen(engine.sync_engine, "connect", connected)
    event.listen(engine.sync_engine, "begin", begun)
    return engine


def _assert_durable(conn: Connection) -> None:
    journal = conn.exec_driver_sql("PRAGMA journal_mode").scalar()
    synchronous = conn.exec_driver_sql("PRAGMA synchronous").scalar()
    if journal != "wal" or synchronous != 2:
        raise ConfigError([f"SQLite runs with journal_mode={journal}, synchronous={synchronous}: not durable"])
