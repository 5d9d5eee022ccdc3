"""Whom the watchdog takes for stuck: what the group has committed, beside what is there, look after look."""

from collections.abc import Collection, Iterator

from bus.records import Place
from bus.topics import INTERACTIONS
from router.hosts.watchdog import Positions, StuckError, Watchdog
from schemas.errors import SwitchboardError
from tests.kit.clock import ManualClock

P, Q = (INTERACTIONS, 0), (INTERACTIONS, 1)
LOOKS = 20


class EnoughError(SwitchboardError):
    """It has looked so often without a word."""


class Host:
    name, paused = "router", ""

    def __init__(self, *held: Place) -> None:
        self.held: Collection[Place] = held

    async def start(self) -> None: ...

    async def drain(self) -> None: ...

    async def stop(self) -> None: ...


class Waiting(Host):
    """Knows at every ninth look why it waits."""

    def __init__(self, *held: Place) -> None:
        super().__init__(*held)
        self._looks = 0

    @property
    def paused(self) -> str:  # type: ignore[override]
        self._looks += 1
        return "" if self._looks % 9 else "the store is away"


async def ends(host: Host, looks: Iterator[Positions]) -> BaseException:
    """How the watchdog ends that looks once a second, and minds ten seconds of nothing."""
    clock = ManualClock()

    async def positions() -> Positions:
        clock.advance(1.0)
        if clock.monotonic() > LOOKS:
            raise EnoughError("no word")
        return next(looks)

    watchdog = Watchdog(host, positions, stuck_after_s=10.0, look_every_s=0.0, clock=clock)
    await watchdog.start()
    try:
        return await watchdog.failed()
    finally:
        await watchdog.stop()


def standing(*, p: int = 5, q: int = 5) -> Iterator[Positions]:
    """There are five in each partition, and so many are committed."""
    while True:
        yield {P: (p, 5), Q: (q, 5)}


def moving() -> Iterator[Positions]:
    for committed in range(LOOKS + 1):
        yield {P: (committed, 100), Q: (5, 5)}


async def test_a_host_whose_partition_stands_still_is_stuck() -> None:
    error = await ends(Host(P), standing(p=2))
    assert isinstance(error, StuckError)
    assert f"{INTERACTIONS}/0" in str(error)


async def test_a_host_that_holds_nothing_while_its_group_stands_still_is_stuck() -> None:
    """One that never joined its group, or fell out of it and did not notice, holds nothing for ever."""
    assert isinstance(await ends(Host(), standing(q=2)), StuckError)


async def test_a_host_that_holds_nothing_is_idle_as_long_as_its_group_gets_on() -> None:
    assert isinstance(await ends(Host(), moving()), EnoughError)
    assert isinstance(await ends(Host(), standing()), EnoughError)


async def test_a_host_is_not_stuck_because_another_one_is() -> None:
    assert isinstance(await ends(Host(P), standing(q=2)), EnoughError)


async def test_a_pause_whose_reason_is_known_is_not_counted() -> None:
    """The host reads its own word once a look: paused at each ninth, it never stands still for ten."""
    assert isinstance(await ends(Waiting(P), standing(p=2)), EnoughError)
