import pytest

from bus.memory import MemoryBus
from bus.reconnect import MovableSource
from bus.records import Batch, Outgoing
from bus.topics import INTERACTIONS, TOPICS
from schemas.errors import BrokerUnavailable


async def bus_with(*values: bytes) -> MemoryBus:
    bus = MemoryBus()
    await bus.apply(TOPICS, 6)
    await bus.sink().write([Outgoing(INTERACTIONS, "k", value) for value in values])
    return bus


def values(batch: Batch) -> list[bytes | None]:
    return [record.value for record in batch]


async def test_after_a_move_the_old_brokers_batches_count_no_more() -> None:
    buses = {"old": await bus_with(b"1", b"2"), "new": await bus_with(b"1", b"2", b"3")}
    source = MovableSource(lambda address: buses[address].source("g", [INTERACTIONS]), "old")
    await source.start()
    old = await source.read(10, 1)
    assert values(old) == [b"1", b"2"]
    source.move("new")
    assert await source.commit(old) == frozenset()
    new = await source.read(10, 1)
    assert values(new) == [b"1", b"2", b"3"], "a broker that forgot is read from its beginning"
    assert await source.commit(old) == frozenset()
    await source.seek_back(old)
    assert await source.commit(new) == frozenset(new.records)
    await source.close()


async def test_a_failed_read_opens_a_new_source_when_the_broker_is_back() -> None:
    bus = await bus_with(b"1", b"2")
    source = MovableSource(lambda _: bus.source("g", [INTERACTIONS]), "a")
    first = await source.read(1, 1)
    await source.commit(first)
    bus.down = True
    for _ in range(2):
        with pytest.raises(BrokerUnavailable):
            await source.read(1, 0.01)
    bus.down = False
    again = await source.read(10, 1)
    assert values(again) == [b"2"]
    assert await source.commit(first) == frozenset()
    await source.close()
