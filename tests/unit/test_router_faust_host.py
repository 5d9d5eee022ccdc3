"""What the Faust host does with what it is given: decides it, writes it in order, and lets go of what it has lost."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from bus.records import Outgoing
from bus.topics import DECISIONS
from router.hosts import faust_host, publish
from tests.unit.faust_house import House, P, Q, fetched, until


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing waits before it tries again."""
    for module in (publish, faust_host):
        monkeypatch.setattr(module, "backoff", lambda *_: 0.0)


@pytest.fixture
async def house() -> AsyncIterator[House]:
    house = House()
    yield house
    await house.host.stop()


async def test_the_decisions_of_a_partition_are_written_in_its_order_however_long_a_write_takes(house: House) -> None:
    first, second = await house.event(fetched(0)), await house.event(fetched(1))
    house.sink.open.clear()
    await house.host._take([first])
    await until(lambda: len(house.sink.asked) == 1)
    taking = asyncio.create_task(house.host._take([second]))
    await until(lambda: house.lookup.asked == 2)
    for _ in range(100):
        await asyncio.sleep(0)
    assert len(house.sink.asked) == 1, "the second is decided, and waits for the first"
    assert not taking.done()
    assert not first.value.done, "nothing is confirmed yet"
    house.sink.open.set()
    await taking
    await until(lambda: bool(second.value.done))
    assert [dict(each.headers)["ce_id"] for each in house.sink.written] == [b"i1:decision:1", b"i2:decision:1"]
    await house.consumer.commit()
    assert house.thread.committed == {P: 2}


@pytest.mark.usefixtures("at_once")
async def test_a_host_that_waited_for_the_store_does_not_wait_for_what_it_has_lost(house: House) -> None:
    """It stayed paused until the next batch, so that nobody noticed if its consumer stuck meanwhile."""
    house.lookup.away = True
    event = await house.event(fetched(0))
    deciding = asyncio.create_task(house.host._decide([event.value]))
    await until(lambda: "away for a minute" in house.host.paused)
    await house.revoke(P)
    assert await deciding == {}
    assert (house.host.paused, house.host.healthy) == ("", True)


@pytest.mark.usefixtures("at_once")
async def test_a_host_that_waited_for_the_broker_does_not_wait_for_what_it_has_lost(house: House) -> None:
    """It stayed paused until the next batch, so that nobody noticed if its consumer stuck meanwhile."""
    house.sink.away = True
    event = await house.event(fetched(0))
    await house.host._take([event])
    await until(lambda: "away for a minute" in house.host.paused)
    await house.revoke(P)
    await asyncio.gather(*house.host._writing.values())
    assert (house.host.paused, house.host.healthy, event.value.done) == ("", True, False)


async def test_a_failed_write_is_not_made_again_for_a_partition_that_was_lost_meanwhile(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was tried for ten seconds more, beside the new owner's."""
    event = await house.event(fetched(0))
    house.sink.fails = 100

    def lost(*_: object) -> float:
        """While it waits before it tries again."""
        house.consumer._forget([P])
        return 0.0

    monkeypatch.setattr(publish, "backoff", lost)
    await house.host._take([event])
    await asyncio.gather(*house.host._writing.values())
    assert (len(house.sink.asked), event.value.done) == (1, False)


@pytest.mark.usefixtures("at_once")
async def test_of_a_failed_write_only_what_is_still_ours_is_written_again(house: House) -> None:
    lost, kept = await house.deliver(P, 0, 0), await house.deliver(Q, 0, 0)
    first, second = (Outgoing(DECISIONS, conversation, b"{}", ()) for conversation in ("c1", "c2"))
    house.sink.fails = 1
    house.sink.open.clear()
    pairs = [(house.event_of(lost), [first]), (house.event_of(kept), [second])]
    writing = asyncio.create_task(house.host._write(pairs))
    await until(lambda: len(house.sink.asked) == 1)
    await house.revoke(P)
    house.sink.open.set()
    await writing
    assert house.sink.asked == [[first, second], [second]]
    assert (lost.value.done, kept.value.done) == (False, True)


async def test_nothing_is_written_for_a_partition_that_was_lost(house: House) -> None:
    lost, kept = await house.deliver(P, 0, 0), await house.deliver(Q, 0, 0)
    first, second = (Outgoing(DECISIONS, conversation, b"{}", ()) for conversation in ("c1", "c2"))
    await house.revoke(P)
    for message, outgoing in ((lost, first), (kept, second)):
        await house.host._write([(house.event_of(message), [outgoing])])
    assert house.sink.written == [second]
    assert (lost.value.done, kept.value.done) == (False, True)


async def test_a_host_that_drains_waits_for_its_writes_and_commits_them(house: House) -> None:
    event = await house.event(fetched(0))
    house.sink.open.clear()
    await house.host._take([event])
    await until(lambda: len(house.sink.asked) == 1)
    draining = asyncio.create_task(house.host.drain())
    for _ in range(100):
        await asyncio.sleep(0)
    assert not draining.done()
    house.sink.open.set()
    await draining
    assert house.thread.committed == {P: 1}
