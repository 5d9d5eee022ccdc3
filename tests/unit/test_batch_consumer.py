"""The Faust host's own consumer through rebalances and seeks."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest

from tests.unit.faust_house import House, P, Q, records


@pytest.fixture
async def house() -> AsyncIterator[House]:
    house = House()
    yield house
    await house.host.stop()


async def test_the_late_end_of_a_lost_batch_commits_nothing_that_was_never_done(house: House) -> None:
    """Two batches in flight, revoked, assigned again, read again as one; then the second's end comes."""
    await house.deliver(P, 0, 9)
    second = await house.deliver(P, 10, 19)
    await house.revoke(P)
    await house.consumer.on_partitions_assigned({P, Q})
    again = await house.deliver(P, 0, 19)
    house.finish(second)
    await house.consumer.commit()
    assert house.thread.committed == {}
    house.finish(again)
    await house.consumer.commit()
    assert house.thread.committed == {P: 20}


async def test_what_was_delivered_is_nobodys_from_the_revocation_on(house: House) -> None:
    lost, kept = await house.deliver(P, 0, 9), await house.deliver(Q, 0, 9)
    await house.revoke(P)
    assert not house.is_current(lost)
    assert house.is_current(kept)


async def test_what_slipped_in_before_the_assignment_counts_for_nothing_after_it(house: House) -> None:
    early = await house.deliver(P, 10, 19)
    await house.consumer.on_partitions_assigned({P, Q})
    again = await house.deliver(P, 0, 19)
    house.finish(early)
    await house.consumer.commit()
    assert house.thread.committed == {}
    assert not house.is_current(early)
    assert house.is_current(again)


async def test_what_was_delivered_before_a_seek_counts_for_nothing_after_it(house: House) -> None:
    await house.deliver(P, 0, 9)
    second, kept = await house.deliver(P, 10, 19), await house.deliver(Q, 0, 9)
    await house.consumer.seek(P, 0)
    assert house.thread.sought == {P: 0}
    assert not house.is_current(second)
    again = await house.deliver(P, 0, 19)
    house.finish(second)
    house.finish(kept)
    await house.consumer.commit()
    assert house.thread.committed == {Q: 10}
    house.finish(again)
    await house.consumer.commit()
    assert house.thread.committed == {P: 20, Q: 10}


async def test_a_revocation_waits_for_what_is_in_work_and_commits_it(house: House) -> None:
    message = await house.deliver(P, 0, 9)
    revoking = asyncio.create_task(house.consumer.on_partitions_revoked({P}))
    while house.consumer._waiting_for_ack is None and not revoking.done():
        await asyncio.sleep(0)
    assert not revoking.done(), "the batch is in work"
    house.finish(message)
    await revoking
    assert house.thread.committed == {P: 10}


async def test_what_is_left_of_a_fetch_is_not_delivered_after_a_seek(house: House) -> None:
    await gives_up_its_fetch(house, lambda: house.consumer.seek(Q, 5))


async def test_what_is_left_of_a_fetch_is_not_delivered_once_a_rebalance_has_begun(house: House) -> None:
    async def stop() -> None:
        house.consumer.stop_flow()

    await gives_up_its_fetch(house, stop)


async def gives_up_its_fetch(house: House, meanwhile: Callable[[], Awaitable[None]]) -> None:
    """Its records are of a position that holds no more: delivered, they would be those of the new epoch."""
    house.meanwhile = meanwhile
    whole = await house.consumer._deliver({P: records(0, 9), Q: records(0, 9)}, None, house.consumer._moves)
    assert not whole, "and is read again"
    assert [message.tp for message in house.messages] == [P]


async def test_a_fetch_during_which_the_position_moved_is_read_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its records are those of the old position: delivered, they would hide what comes before them."""
    fetcher, fetches = SimpleNamespace(_stopped=asyncio.Event()), iter([records(10, 19), records(0, 19)])

    async def fetch(_: float) -> Any:
        read = next(fetches, None)
        if read is None:
            fetcher._stopped.set()
            return {}, None
        if read[0].offset == 10:
            await house.consumer.on_partitions_assigned({P, Q})
        else:
            assert house.thread.rewound == 1
        return {P: read}, None

    monkeypatch.setattr(house.consumer, "_wait_next_records", fetch)
    await house.consumer._drain_messages(fetcher)
    assert [(message.value.first, message.value.last) for message in house.messages] == [(0, 19)]
