import asyncio
import os
import signal
import time

import pytest

from runtime.lifecycle import Lifecycle, Service, StepTimeout, stop_on_signals
from schemas.errors import ConfigError, StoreUnavailable, SwitchboardError


class Part:
    """A service that writes down what happens to it and misbehaves where told."""

    def __init__(self, name: str, journal: list[str], **bad: str) -> None:
        self.name, self.journal, self.bad = name, journal, bad
        self.death: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()

    async def _step(self, step: str) -> None:
        self.journal.append(f"{self.name}.{step}")
        match self.bad.get(step):
            case "raise":
                raise RuntimeError(f"{self.name} cannot {step}")
            case "hang":
                await asyncio.Event().wait()
            case "stubborn":
                end = time.monotonic() + 1.5
                while time.monotonic() < end:
                    try:
                        await asyncio.sleep(1.5)
                    except asyncio.CancelledError:
                        continue

    async def start(self) -> None:
        await self._step("start")

    async def drain(self) -> None:
        await self._step("drain")

    async def stop(self) -> None:
        await self._step("stop")

    async def failed(self) -> BaseException:
        return await asyncio.shield(self.death)


async def test_starts_in_order_drains_intake_first_stops_in_reverse() -> None:
    journal: list[str] = []
    parts: list[Service] = [Part("store", journal), Part("relay", journal), Part("intake", journal)]
    life = Lifecycle(parts, drain_timeout=2)
    await life.start()
    report = await life.stop()
    assert report.clean
    assert journal == [
        *("store.start", "relay.start", "intake.start"),
        *("intake.drain", "relay.drain", "store.drain"),
        *("intake.stop", "relay.stop", "store.stop"),
    ]


async def test_a_failed_start_stops_what_was_touched() -> None:
    journal: list[str] = []
    parts: list[Service] = [Part("a", journal), Part("b", journal, start="raise"), Part("c", journal)]
    with pytest.raises(RuntimeError, match="b cannot start"):
        await Lifecycle(parts, drain_timeout=1).start()
    assert journal == ["a.start", "b.start", "b.stop", "a.stop"]


async def test_a_start_that_hangs_is_given_up() -> None:
    journal: list[str] = []
    with pytest.raises(StepTimeout, match="a did not start"):
        await Lifecycle([Part("a", journal, start="hang")], drain_timeout=1, start_timeout=0.05).start()


async def test_stop_never_hangs_and_reports_what_was_late() -> None:
    journal: list[str] = []
    parts: list[Service] = [
        Part("a", journal, drain="raise"),
        Part("b", journal, stop="stubborn"),
        Part("c", journal, drain="hang", stop="hang"),
    ]
    life = Lifecycle(parts, drain_timeout=0.4)
    await life.start()
    begun = time.monotonic()
    report = await life.stop()
    assert time.monotonic() - begun < 5
    assert report.late == ("c.drain", "c.stop", "b.stop")
    assert [name for name, _ in report.errors] == ["a.drain"]
    assert journal[-1] == "a.stop"


async def test_run_until_ends_when_a_service_dies() -> None:
    journal: list[str] = []
    part = Part("a", journal)
    run = asyncio.create_task(Lifecycle([part], drain_timeout=1).run_until(asyncio.Event()))
    await asyncio.sleep(0.01)
    part.death.set_result(OSError("gone"))
    report = await asyncio.wait_for(run, 2)
    assert report.died is not None
    assert (report.died[0], str(report.died[1])) == ("a", "gone")
    assert journal == ["a.start", "a.drain", "a.stop"]


async def test_run_until_ends_on_a_signal() -> None:
    journal: list[str] = []
    stop = asyncio.Event()
    with stop_on_signals(stop, (signal.SIGUSR1,)):
        run = asyncio.create_task(Lifecycle([Part("a", journal)], drain_timeout=1).run_until(stop))
        await asyncio.sleep(0.01)
        os.kill(os.getpid(), signal.SIGUSR1)
        report = await asyncio.wait_for(run, 2)
    assert report.died is None
    assert report.stopped.clean


async def test_ready_is_said_when_everything_has_started_and_not_before() -> None:
    journal: list[str] = []
    stop = asyncio.Event()

    def ready() -> None:
        journal.append("ready")
        stop.set()

    lifecycle = Lifecycle([Part("a", journal), Part("b", journal)], drain_timeout=1)
    await asyncio.wait_for(lifecycle.run_until(stop, ready=ready), 2)
    assert journal[:3] == ["a.start", "b.start", "ready"]


async def test_two_services_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="share a name"):
        Lifecycle([Part("a", []), Part("a", [])], drain_timeout=1)


async def test_a_start_that_takes_long_is_given_up_when_a_stop_is_asked_for() -> None:
    """A process told to end while it was still starting was killed, and counted as late."""
    stopped: list[str] = []

    class Slow:
        name = "slow"

        async def start(self) -> None:
            await asyncio.Event().wait()

        async def drain(self) -> None:
            """Nothing to do."""

        async def stop(self) -> None:
            stopped.append(self.name)

    stop = asyncio.Event()
    running = asyncio.create_task(Lifecycle([Slow()], drain_timeout=1.0).run_until(stop))
    await asyncio.sleep(0)
    stop.set()
    async with asyncio.timeout(5):
        report = await running
    assert report.died is None
    assert stopped == ["slow"]


class Absent:
    """A service whose start ends in each of `errors`, one after the other, and then works."""

    def __init__(self, *errors: SwitchboardError, awaits: str = "a store at db:5432") -> None:
        self.name, self.awaits, self.errors = "store", awaits, list(errors)
        self.steps: list[str] = []
        self.tried = asyncio.Event()

    async def start(self) -> None:
        self.steps.append("start")
        self.tried.set()
        if self.errors:
            raise self.errors.pop(0)

    async def drain(self) -> None:
        self.steps.append("drain")

    async def stop(self) -> None:
        self.steps.append("stop")


AWAY = [StoreUnavailable(f"no answer, {number}") for number in range(3)]


async def test_what_is_awaited_is_tried_again_until_it_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    """A process whose store came a moment later than it did ended at once."""
    pauses: list[int] = []
    seen: list[tuple[str, bool]] = []

    def pause(attempt: int) -> float:
        pauses.append(attempt)
        seen.append((lifecycle.waiting_for, lifecycle.is_running))
        return 0.0

    journal: list[str] = []
    absent = Absent(*AWAY)
    lifecycle = Lifecycle([absent, Part("relay", journal)], drain_timeout=1, pause=pause)
    await lifecycle.start(patient=True)
    assert absent.steps == ["start"] * 4
    assert pauses == [0, 1, 2]
    assert seen == [("store", False)] * 3
    assert (lifecycle.waiting_for, lifecycle.is_running) == ("", True)
    assert journal == ["relay.start"], "not before what it needs"
    said = capsys.readouterr().out
    assert all(str(error) in said for error in AWAY), "each new reason"
    assert "a store at db:5432" in said
    await lifecycle.stop()
    assert (lifecycle.has_started, lifecycle.is_running) == (True, False)


async def test_a_start_that_waits_ends_at_once_when_asked_to() -> None:
    absent = Absent(*AWAY)
    stop = asyncio.Event()
    lifecycle = Lifecycle([absent], drain_timeout=1, pause=lambda _: 3600.0)
    running = asyncio.create_task(lifecycle.run_until(stop))
    await absent.tried.wait()
    stop.set()
    async with asyncio.timeout(5):
        report = await running
    assert report.died is None
    assert absent.steps == ["start", "stop"]
    assert not lifecycle.has_started


async def test_what_no_waiting_mends_ends_the_start_with_its_own_words() -> None:
    refused = Absent(AWAY[0], ConfigError(["store.url: wrong password"]))
    with pytest.raises(ConfigError, match="wrong password"):
        await Lifecycle([refused], drain_timeout=1, pause=lambda _: 0.0).start(patient=True)
    assert refused.steps == ["start", "start", "stop"]


async def test_nothing_is_waited_for_that_cannot_come_by_itself_nor_without_patience() -> None:
    file, server = Absent(AWAY[0], awaits=""), Absent(AWAY[0])
    for absent, patient in ((file, True), (server, False)):
        with pytest.raises(StoreUnavailable):
            await Lifecycle([absent], drain_timeout=1).start(patient=patient)
        assert absent.steps == ["start", "stop"]
