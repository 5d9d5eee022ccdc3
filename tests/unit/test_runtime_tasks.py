import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from runtime.backoff import backoff
from runtime.clock import Clock, SystemClock
from runtime.tasks import TaskEnded, TaskOwner
from tests.kit.clock import ManualClock


async def test_owner_notices_the_first_death() -> None:
    owner = TaskOwner()

    async def boom() -> None:
        raise ValueError("x")

    owner.spawn("steady", asyncio.Event().wait())
    owner.spawn("boom", boom())
    name, error = await asyncio.wait_for(owner.wait_failed(), 1)
    assert (name, str(error)) == ("boom", "x")
    assert owner.running == ["steady"]
    assert await owner.cancel_all(1) == []
    assert owner.running == []


async def test_a_clean_end_is_a_death_only_for_tasks_that_run_for_ever() -> None:
    owner = TaskOwner()
    await owner.spawn("once", asyncio.sleep(0), forever=False)
    assert owner.failed is None
    owner.spawn("pump", asyncio.sleep(0))
    name, error = await asyncio.wait_for(owner.wait_failed(), 1)
    assert name == "pump"
    assert isinstance(error, TaskEnded)


async def test_cancel_all_names_what_does_not_stop() -> None:
    owner = TaskOwner()
    let_go = asyncio.Event()

    async def stubborn() -> None:
        while not let_go.is_set():
            try:
                await let_go.wait()
            except asyncio.CancelledError:
                continue

    task = owner.spawn("stubborn", stubborn(), forever=False)
    await asyncio.sleep(0)
    assert await owner.cancel_all(0.01) == ["stubborn"]
    let_go.set()
    await task


async def test_finish_lets_the_tasks_end_and_cancels_the_rest() -> None:
    owner = TaskOwner()
    quick = owner.spawn("quick", asyncio.sleep(0.01, "done"), forever=False)
    slow = owner.spawn("slow", asyncio.sleep(60), forever=False)
    assert await owner.finish(0.1) == []
    assert quick.result() == "done"
    assert slow.cancelled()


def test_backoff_stays_within_its_ceiling_and_uses_the_whole_range() -> None:
    for attempt, ceiling in ((0, 1.0), (3, 8.0), (50, 30.0), (5000, 30.0)):
        waits = [backoff(attempt, 1.0, 30.0) for _ in range(400)]
        assert 0 <= min(waits) < ceiling * 0.1
        assert ceiling * 0.9 < max(waits) <= ceiling
    with pytest.raises(ValueError, match="from 0"):
        backoff(-1, 1, 1)


def test_clocks() -> None:
    clocks: list[Clock] = [SystemClock(), ManualClock()]
    assert all(clock.now().tzinfo is UTC for clock in clocks)
    clock = ManualClock(datetime(2026, 3, 1, tzinfo=UTC))
    clock.advance(timedelta(minutes=1))
    clock.advance(0.5)
    assert (clock.now(), clock.monotonic()) == (datetime(2026, 3, 1, 0, 1, 0, 500_000, UTC), 60.5)
    clock.set(datetime(2020, 1, 1, tzinfo=UTC))
    assert clock.monotonic() == 60.5
