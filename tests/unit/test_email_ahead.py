"""How far a sender begins ahead of its connections, and how ends wait for each other."""

import asyncio
from collections.abc import Sequence

from channels.email.sending.lanes import AHEAD, Ahead
from store.together import Together


def learned(seconds: float, connections: int = 5) -> Ahead:
    found = Ahead(connections)
    for _ in range(100):
        found.learn(seconds)
    return found


def test_a_slow_relay_has_nothing_begun_ahead() -> None:
    assert learned(1.0).most == 5
    assert Ahead(5).most == 5, "nor has one that is not known yet"


def test_a_fast_one_has_as_much_as_it_carries_away_meanwhile_and_no_more_than_the_cap() -> None:
    assert 5 < learned(0.02).most < learned(0.01).most
    assert learned(0.001).most == 5 + 5 * AHEAD


async def test_who_is_cancelled_when_it_is_their_turn_keeps_nobody_waiting() -> None:
    ahead, inside = Ahead(1), list[str]()

    async def enter(name: str) -> None:
        async with ahead:
            inside.append(name)

    async with ahead:
        second, third = (asyncio.create_task(enter(name)) for name in "bc")
        await asyncio.sleep(0)
    second.cancel()  # the place was given to it, and it has not run yet
    async with asyncio.timeout(5):
        await third
    assert inside == ["c"]


async def test_those_who_wait_are_let_in_together_when_little_is_left_ahead() -> None:
    ahead, inside = learned(0.001, connections=2), list[int]()
    assert ahead.most == 10

    async def enter(number: int) -> None:
        async with ahead:
            inside.append(number)
            await asyncio.Event().wait()

    tasks = [asyncio.create_task(enter(number)) for number in range(15)]
    seen: list[int] = []
    for ending in (None, *tasks[:6]):
        if ending is not None:
            ending.cancel()
        for _ in range(4):
            await asyncio.sleep(0)
        seen.append(len(inside))
    assert seen == [10, 10, 10, 10, 10, 10, 15]
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def test_what_lingers_goes_with_what_comes_meanwhile() -> None:
    batches: list[list[int]] = []

    async def do(items: Sequence[int]) -> Sequence[int]:
        batches.append(list(items))
        return items

    together: Together[int, int] = Together("test", do, most=10, linger_s=0.05)
    first = asyncio.create_task(together.add(1))
    for _ in range(3):
        await asyncio.sleep(0)
    assert list(await asyncio.gather(first, together.add(2))) == [1, 2]
    assert batches == [[1, 2]]
