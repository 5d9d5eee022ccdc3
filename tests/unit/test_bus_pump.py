"""The pump between a source and the function that takes its batches."""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from bus import pump as pump_module
from bus.memory import MemoryBus, MemorySource
from bus.port import Source
from bus.pump import Pump
from bus.reconnect import MovableSource
from bus.records import Batch, Outgoing, Place
from bus.topics import INTERACTIONS, TOPICS
from schemas.errors import BrokerUnavailable, StoreUnavailable


async def test_a_batch_that_is_too_much_for_a_slow_store_comes_again_in_smaller_pieces() -> None:
    """A transaction over 500 events that took longer than it was given was tried again, whole, for ever."""
    bus = MemoryBus()
    await bus.apply(TOPICS, 1)
    await bus.sink().write([Outgoing(INTERACTIONS, "c", str(n).encode()) for n in range(100)])
    taken: list[bytes | None] = []
    sizes: list[int] = []
    done = asyncio.Event()

    async def handle(batch: Batch) -> None:
        sizes.append(len(batch))
        if len(batch) > 10:
            raise StoreUnavailable("not in time")
        taken.extend(record.value for record in batch)
        if len(taken) == 100:
            done.set()

    pump = Pump("slow", bus.source("g", [INTERACTIONS]), handle, max_records=100)
    await pump.start()
    try:
        async with asyncio.timeout(30):
            await done.wait()
    finally:
        await pump.drain()
        await pump.stop()
    assert taken == [str(n).encode() for n in range(100)]
    assert max(sizes[1:]) < 100


def test_a_batch_that_took_long_is_followed_by_a_smaller_one_and_a_quick_one_by_a_larger() -> None:
    pump = Pump("x", MemoryBus().source("g", [INTERACTIONS]), _nothing, max_records=500)
    assert pump._adapted(64, 0.1) == 128
    assert pump._adapted(400, 0.1) == 500
    assert pump._adapted(64, 1.0) == 64
    assert pump._adapted(64, 10.0) == 32
    assert pump._adapted(1, 10.0) == 1


async def _nothing(batch: Batch) -> None:
    """Done at once."""


class Watched(MemorySource):
    """The first `failures` commits fail; `committed` is set with each that does not."""

    def __init__(self, bus: MemoryBus, failures: int = 0) -> None:
        super().__init__(bus, "g", [INTERACTIONS])
        self.failures = failures
        self.committed = asyncio.Event()

    async def commit(self, batch: Batch) -> frozenset[Place]:
        if self.failures:
            self.failures -= 1
            raise BrokerUnavailable("just now")
        done = await super().commit(batch)
        self.committed.set()
        return done

    async def until(self, is_so: Callable[[], bool]) -> None:
        while not is_so():
            self.committed.clear()
            await self.committed.wait()


class TestCommits:
    """What is done with is committed now and then. Here that is never due by itself, but for the first batch."""

    @pytest.fixture(autouse=True)
    def never_due(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(pump_module, "COMMIT_EVERY_S", math.inf)
        monkeypatch.setattr(pump_module, "READ_TIMEOUT_S", 0.001)

    async def bus_with(self, *counts: int) -> MemoryBus:
        """So many records in each partition."""
        made = MemoryBus()
        await made.apply(TOPICS, len(counts))
        for number, count in enumerate(counts):
            await made.sink().write([Outgoing(INTERACTIONS, "k", b"x", partition=number)] * count)
        return made

    def committed(self, bus: MemoryBus) -> list[int]:
        return [offset for offset, _ in bus.positions("g", [INTERACTIONS]).values()]

    @asynccontextmanager
    async def pumping(
        self, source: Source, handle: Callable[[Batch], Awaitable[None]], most: int = 1
    ) -> AsyncIterator[Pump]:
        pump = Pump("p", source, handle, max_records=most)
        await pump.start()
        try:
            async with asyncio.timeout(10):
                yield pump
        finally:
            await pump.stop()

    async def test_once_there_is_nothing_to_read_everything_that_was_done_is_committed(self) -> None:
        bus = await self.bus_with(1, 1, 1)
        source = Watched(bus)
        async with self.pumping(source, _nothing):
            await source.until(lambda: self.committed(bus) == [1, 1, 1])

    async def test_the_end_commits_the_batch_in_hand_and_those_before_it(self) -> None:
        bus = await self.bus_with(1, 1, 1)
        in_hand, go = asyncio.Event(), asyncio.Event()

        async def handle(batch: Batch) -> None:
            if (INTERACTIONS, 2) in batch.records:
                in_hand.set()
                await go.wait()

        async with self.pumping(Watched(bus), handle) as pump:
            await in_hand.wait()
            assert self.committed(bus) == [1, 0, 0]
            drained = asyncio.create_task(pump.drain())
            await asyncio.sleep(0)
            go.set()
            await drained
            assert self.committed(bus) == [1, 1, 1]

    async def test_before_a_batch_is_read_again_what_was_done_before_it_is_committed_and_it_is_not(self) -> None:
        bus = await self.bus_with(1, 1, 1)
        seen: list[list[int]] = []
        again = asyncio.Event()

        async def handle(batch: Batch) -> None:
            if (INTERACTIONS, 2) in batch.records:
                seen.append(self.committed(bus))
                if len(seen) == 1:
                    raise StoreUnavailable("just now")
                again.set()

        async with self.pumping(Watched(bus), handle):
            await again.wait()
        assert seen == [[1, 0, 0], [1, 1, 0]]

    @pytest.mark.parametrize("error", [BrokerUnavailable("just now"), StoreUnavailable("just now")])
    async def test_what_could_not_be_handled_is_read_again(self, error: Exception) -> None:
        bus = await self.bus_with(2)
        source = Watched(bus)
        offsets: list[int] = []

        async def handle(batch: Batch) -> None:
            offsets.extend(record.offset for record in batch)
            if len(offsets) == 1:
                raise error

        async with self.pumping(source, handle):
            await source.until(lambda: self.committed(bus) == [2])
        assert offsets == [0, 0, 1]

    async def test_a_batch_whose_commit_failed_is_read_again_and_committed_then(self) -> None:
        bus = await self.bus_with(2)
        source = Watched(bus, failures=1)
        offsets: list[int] = []

        async def handle(batch: Batch) -> None:
            offsets.extend(record.offset for record in batch)

        async with self.pumping(source, handle):
            await source.until(lambda: self.committed(bus) == [2])
        assert offsets == [0, 0, 1]

    async def test_a_commit_that_failed_once_there_was_nothing_to_read_is_made_again(self) -> None:
        bus = await self.bus_with(1, 1)
        source = Watched(bus)

        async def handle(batch: Batch) -> None:
            if (INTERACTIONS, 1) in batch.records:
                source.failures = 1

        async with self.pumping(source, handle):
            await source.until(lambda: self.committed(bus) == [1, 1])
        assert source.failures == 0

    async def test_nothing_of_a_brokers_former_life_is_committed_in_its_new_one(self) -> None:
        """There the same offsets are other records, which nobody would ever read."""
        old, new = await self.bus_with(5, 5, 0), await self.bus_with(0, 0, 1)
        there = Watched(new)
        source = MovableSource(lambda address: there if address == "new" else Watched(old), "old")

        async def handle(batch: Batch) -> None:
            if (INTERACTIONS, 1) in batch.records:
                source.move("new")  # done with, and not committed

        async with self.pumping(source, handle, most=5):
            await there.committed.wait()
        assert self.committed(old) == [5, 0, 0]
        assert self.committed(new) == [0, 0, 1]
