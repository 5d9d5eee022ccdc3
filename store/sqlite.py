"""SQLite: one writing thread commits what waits as one transaction (group commit); readers have WAL snapshots.

A unit of work runs wholly in its thread: a hop from the event loop for each statement would cost more than they do.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.engine import URL, Connection
from sqlalchemy.exc import DatabaseError
from sqlalchemy.pool import QueuePool

from schemas.errors import ConfigError, StoreUnavailable
from store.engine import BUSY_TIMEOUT_S, CALL_TIMEOUT_S, is_away, reason
from store.sql import News, taken_news

T = TypeVar("T")

BATCH = 256
READERS = 4
WRITER_CACHE_KIB, READER_CACHE_KIB = 16_384, 4_096
"""What a connection may keep of the file: of the 2 MB that it is by default, a busy writer reads most again. Readers
begin anew after each commit of the writer."""
_ALONE = "switchboard_statement_alone"
"""A connection with this option is for a single statement, which needs no BEGIN."""


@dataclass(slots=True)
class _Job:
    work: Callable[[Connection], Any]
    result: asyncio.Future[Any] = field(repr=False)


class SqliteEngine:
    """BEGIN IMMEDIATE, synchronous=FULL. `changed` is called after each commit of this process."""

    def __init__(self, url: URL, *, read_only: bool, changed: Callable[[Collection[News] | None], None]) -> None:
        url = url.set(drivername="sqlite+pysqlite")
        self._read_only, self._path = read_only, url.database or ""
        self._changed = changed
        self._reader = _engine(url, writer=False)
        self._looker = self._reader.execution_options(**{_ALONE: True})
        self._writer = self._reader if read_only else _engine(url, writer=True)
        self._readers = ThreadPoolExecutor(READERS, "store-reader")
        self._writers = ThreadPoolExecutor(1, "store-writer")
        self._queue: asyncio.Queue[_Job] = asyncio.Queue(maxsize=10_000)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        try:
            await self.read(_assert_durable)
        except StoreUnavailable as error:
            if self._read_only and self._path and not Path(self._path).exists():
                raise StoreUnavailable(f"there is no store at {self._path} yet", hint="switchboard migrate") from error
            raise
        except DatabaseError as error:  # such as: file is not a database
            raise ConfigError([f"{self._path} cannot be used: {reason(error)}"], hint="store.url names it") from error
        if self._read_only:
            return
        self._task = asyncio.create_task(self._write_loop(), name="store-writer")

    async def stop(self) -> None:
        """Commit what was handed in, then close every connection."""
        if self._task is not None:
            task, self._task = self._task, None
            try:
                async with asyncio.timeout(CALL_TIMEOUT_S):
                    await self._queue.join()
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        for threads in (self._readers, self._writers):
            await asyncio.to_thread(threads.shutdown)
        self._reader.dispose()
        self._writer.dispose()

    async def read(self, work: Callable[[Connection], T]) -> T:
        return await self._read(self._reader, work)

    async def look(self, work: Callable[[Connection], T]) -> T:
        return await self._read(self._looker, work)

    async def _read(self, engine: Engine, work: Callable[[Connection], T]) -> T:
        def reading() -> T:
            with engine.connect() as conn:
                return work(conn)

        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                return await asyncio.get_running_loop().run_in_executor(self._readers, reading)
        except Exception as error:
            if is_away(error):
                raise StoreUnavailable(f"the store cannot be read: {reason(error)}") from error
            raise

    async def write(self, work: Callable[[Connection], T]) -> T:
        if self._task is None or self._task.done():
            raise StoreUnavailable("the store's writer is not running")
        job = _Job(work, asyncio.get_running_loop().create_future())
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                await self._queue.put(job)
                return await job.result  # type: ignore[no-any-return]
        except TimeoutError as error:
            raise StoreUnavailable("the store did not commit in time") from error

    async def _write_loop(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            jobs = [await self._queue.get()]
            while len(jobs) < BATCH and not self._queue.empty():
                jobs.append(self._queue.get_nowait())
            wanted = [job for job in jobs if not job.result.cancelled()]
            outcomes: Sequence[tuple[Any, Exception | None]] = []
            told: set[News] = set()
            try:
                outcomes = await loop.run_in_executor(self._writers, self._commit, [job.work for job in wanted], told)
            finally:
                for job, (result, error) in zip(wanted, outcomes or [(None, _stopping())] * len(wanted), strict=True):
                    if not job.result.done():
                        job.result.set_exception(error) if error is not None else job.result.set_result(result)
                for _ in jobs:
                    self._queue.task_done()
            if any(error is None for _, error in outcomes):
                self._changed(told)

    def _commit(
        self, works: Sequence[Callable[[Connection], Any]], told: set[News]
    ) -> Sequence[tuple[Any, Exception | None]]:
        """(result, error) of each; in the writing thread. `told` gets what the committed ones have news of."""
        if not works:
            return []
        try:
            with self._writer.begin() as conn:
                taken_news(conn)  # of a transaction that came to nothing
                results = [work(conn) for work in works]
                found = taken_news(conn)
        except Exception as error:
            if is_away(error):
                return [(None, StoreUnavailable(f"the store cannot be written: {reason(error)}"))] * len(works)
            if len(works) == 1:
                return [(None, error)]
            # One of them is at fault: each on its own, so that the others do not suffer.
            return [self._commit([work], told)[0] for work in works]
        told |= found
        return [(result, None) for result in results]


def _stopping() -> Exception:
    return StoreUnavailable("the store is stopping")


def _engine(url: URL, *, writer: bool) -> Engine:
    engine = create_engine(
        url,
        poolclass=QueuePool,
        pool_size=1 if writer else READERS,
        max_overflow=0,
        pool_timeout=BUSY_TIMEOUT_S,
        connect_args={"timeout": BUSY_TIMEOUT_S, "check_same_thread": False},
    )

    def connected(dbapi: Any, _record: Any) -> None:
        dbapi.isolation_level = None  # the driver's own transaction handling off: BEGIN is ours, below
        cursor = dbapi.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute("PRAGMA temp_store=MEMORY")
        cursor.execute(f"PRAGMA cache_size=-{WRITER_CACHE_KIB if writer else READER_CACHE_KIB}")
        if not writer:
            cursor.execute("PRAGMA query_only=ON")
        cursor.close()

    begin = text("BEGIN IMMEDIATE" if writer else "BEGIN")

    def begun(conn: Connection) -> None:
        if not conn.get_execution_options().get(_ALONE):
            conn.execute(begin)

    event.listen(engine, "connect", connected)
    event.listen(engine, "begin", begun)
    return engine


def _assert_durable(conn: Connection) -> None:
    journal = conn.exec_driver_sql("PRAGMA journal_mode").scalar()
    synchronous = conn.exec_driver_sql("PRAGMA synchronous").scalar()
    if journal != "wal" or synchronous != 2:
        raise ConfigError([f"SQLite runs with journal_mode={journal}, synchronous={synchronous}: not durable"])
