"""Reads batches, hands them to one function, and commits what that function has finished with, now and then.

Trouble that may pass (store, broker away) acknowledges nothing: the batch is read again after a pause.
"""

import asyncio
from collections.abc import Awaitable, Callable

from bus.port import Source
from bus.records import Batch, Place
from runtime.backoff import backoff
from runtime.logs import get_logger
from runtime.pace import Pace
from runtime.tasks import TaskOwner
from schemas.errors import BrokerUnavailable, is_temporary

READ_TIMEOUT_S = 0.5
PAUSE_CAP_S = 5.0
DRAIN_TIMEOUT_S = 20.0
FIRST_RECORDS = 64
GAP_S = 0.025
"""Between the beginnings of two batches: each is a transaction."""
COMMIT_EVERY_S = 0.5
"""While there is something to do; as soon as there is not, at once."""
LONG_S = 2.0

log = get_logger(__name__)


class Pump:
    """A service around one Source. `handle` must be idempotent: after a crash or a rebalance it sees batches again."""

    def __init__(
        self, name: str, source: Source, handle: Callable[[Batch], Awaitable[None]], *, max_records: int = 500
    ) -> None:
        self._name = name
        self._source = source
        self._handle = handle
        self._max_records = max_records
        self._pace = Pace(GAP_S)
        self._done: Batch | None = None
        """What is done with and not committed."""
        self._commit_at = 0.0
        self._tasks = TaskOwner()
        self._stopping = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None
        self.healthy = False
        """False while nothing can be read or handled: what readiness reports."""
        self.paused = ""
        """Why it waits, if it knows."""

    @property
    def name(self) -> str:
        return self._name

    @property
    def held(self) -> frozenset[Place]:
        """The partitions that are ours now."""
        return self._source.assignment

    async def start(self) -> None:
        self._loop = self._tasks.spawn(self._name, self._run())

    async def drain(self) -> None:
        """Take no new batch, finish and commit the one in hand."""
        self._stopping.set()
        if self._loop is not None:
            await asyncio.wait({self._loop}, timeout=DRAIN_TIMEOUT_S)

    async def stop(self) -> None:
        self._stopping.set()
        await self._tasks.cancel_all(5.0)
        await self._source.close()

    async def failed(self) -> BaseException:
        _, error = await self._tasks.wait_failed()
        if self._stopping.is_set():
            await asyncio.Event().wait()  # an orderly end is no death
        return error

    async def _run(self) -> None:
        attempt, joined, most = 0, False, min(FIRST_RECORDS, self._max_records)
        loop = asyncio.get_running_loop()
        while not self._stopping.is_set():
            batch: Batch | None = None
            try:
                if not joined:
                    await self._source.start()
                    joined = True
                await self._pace.wait()
                batch = await self._source.read(most, READ_TIMEOUT_S)
                if len(batch):
                    self._pace.begin()
                    begun = loop.time()
                    await self._handle(batch)
                    most = self._adapted(most, loop.time() - begun)
                    self._done = batch if self._done is None else self._done.then(batch)
                if not len(batch) or loop.time() >= self._commit_at:
                    await self._commit()
                attempt, self.healthy, self.paused = 0, True, ""
            except Exception as error:
                if not is_temporary(error):
                    raise
                self.healthy, self.paused = False, f"{type(error).__name__}: {error}"
                log.warning("paused", pump=self._name, error=self.paused, attempt=attempt)
                if batch is not None and len(batch):
                    if not isinstance(error, BrokerUnavailable):
                        await self._try_to_commit()  # after seeking back it cannot be
                    await self._source.seek_back(batch)
                    most = max(1, len(batch) // 4)  # the same again might be too much again
                await self._pause(backoff(attempt, 0.2, PAUSE_CAP_S))
                attempt += 1
        await self._try_to_commit()

    async def _commit(self) -> None:
        """Raises BrokerUnavailable."""
        if self._done is not None:
            await self._source.commit(self._done)
            self._done = None
        self._commit_at = asyncio.get_running_loop().time() + COMMIT_EVERY_S

    async def _try_to_commit(self) -> None:
        try:
            await self._commit()
        except Exception as error:  # it is read once more then, perhaps by another member
            if not is_temporary(error):
                raise
            log.warning("not committed", pump=self._name, error=f"{type(error).__name__}: {error}")

    def _adapted(self, most: int, took_s: float) -> int:
        """How many records to take next. A batch is one transaction, which holds its locks to its end and has only so
        much time: where the store is slow, it has to be small."""
        if took_s > LONG_S:
            return max(1, most // 2)
        return min(self._max_records, 2 * most) if took_s < LONG_S / 4 else most

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            pass
