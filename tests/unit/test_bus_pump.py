"""The pump between a source and the function that takes its batches."""

import asyncio

from bus.memory import MemoryBus
from bus.pump import Pump
from bus.records import Batch, Outgoing
from bus.topics import INTERACTIONS, TOPICS
from schemas.errors import StoreUnavailable


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
