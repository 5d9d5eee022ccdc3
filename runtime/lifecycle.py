"""How a process lives: services start in order, drain intake first, stop in reverse, and never hang."""

import asyncio
import contextlib
import itertools
import signal
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from runtime.backoff import backoff
from runtime.logs import get_logger
from schemas.errors import TemporaryError

_GRACE_S = 0.2
"""What a step gets to react to its cancellation before it is left behind."""
_PAUSE_BASE_S, _PAUSE_CAP_S = 0.25, 5.0
_TELL_AGAIN_S = 30.0

log = get_logger(__name__)


@runtime_checkable
class Service(Protocol):
    """A part of a process. Calls never overlap; each runs at most once, in the order start, drain, stop; but `start` of
    what is `Awaiting` may be called until it works."""

    @property
    def name(self) -> str: ...

    async def start(self) -> None:
        """Return when ready to serve. An error here ends the process; `stop` is still called."""
        ...

    async def drain(self) -> None:
        """Take in nothing new and finish what is in hand. May be cancelled at the deadline."""
        ...

    async def stop(self) -> None:
        """Let go of everything. Must work after a failed start and after a cancelled drain."""
        ...


@runtime_checkable
class Awaiting(Protocol):
    """What a service offers besides when it starts with something that may come later than this process."""

    @property
    def awaits(self) -> str:
        """What and where, for people, without secrets. While it says something, a start that ends in a TemporaryError
        may be tried again until it works: it can be called anew. "" = nothing is waited for."""
        ...


@runtime_checkable
class Watched(Protocol):
    """What a service offers besides when it can die while it runs."""

    async def failed(self) -> BaseException:
        """Return the reason once the service has died; wait for ever while it lives."""
        ...


class StepTimeout(TemporaryError):
    """A service did not finish a step of its life in time."""


@dataclass(frozen=True, slots=True)
class StopReport:
    """What was not orderly about a stop: `late` are steps over their time, `errors` steps that raised."""

    late: tuple[str, ...] = ()
    errors: tuple[tuple[str, BaseException], ...] = ()

    @property
    def clean(self) -> bool:
        return not self.late and not self.errors


@dataclass(frozen=True, slots=True)
class RunReport:
    """How a run ended: `died` is the service that ended it, or None after an orderly stop."""

    died: tuple[str, BaseException] | None
    stopped: StopReport


class Lifecycle:
    """Runs `services`, listed in the order in which they start: what others need comes first, intake last.

    Stopping drains in reverse, so intake first, within 3/4 of `drain_timeout` seconds, and then stops in
    reverse within what is left. Every step is bounded; a step that ignores its cancellation is left behind.
    `pause`: the seconds before a start of something that is awaited is tried again, by how often it has been.
    """

    def __init__(
        self,
        services: Sequence[Service],
        *,
        drain_timeout: float,
        start_timeout: float = 60.0,
        pause: Callable[[int], float] = lambda attempt: backoff(attempt, _PAUSE_BASE_S, _PAUSE_CAP_S),
    ) -> None:
        names = [service.name for service in services]
        if len(set(names)) != len(names):
            raise ValueError(f"two services share a name: {names}")
        self._services = list(services)
        self._drain_timeout = drain_timeout
        self._start_timeout = start_timeout
        self._pause = pause
        self._touched: list[Service] = []
        self.waiting_for = ""
        """The service whose start waits for what is not there yet."""
        self.has_started = False
        """All have started; true from then on."""
        self.is_running = False
        """All have started, and nobody has asked for the end."""

    async def start(self, *, patient: bool = False) -> None:
        """Start all in order; `patient`: wait for what is `Awaiting`. On a failure, stops what was touched, in reverse,
        and raises the failure."""
        for service in self._services:
            self._touched.append(service)
            try:
                await self._start_one(service, patient)
            except BaseException:
                await self._stop_touched(self._drain_timeout)
                raise
            log.debug("service started", service=service.name)
        self.has_started = self.is_running = True

    async def _start_one(self, service: Service, patient: bool) -> None:
        awaits = service.awaits if patient and isinstance(service, Awaiting) else ""
        told, tell_again_at = "", 0.0
        for attempt in itertools.count():
            try:
                if await _bounded(f"{service.name}.start", service.start(), self._start_timeout):
                    raise StepTimeout(f"{service.name} did not start within {self._start_timeout:g} s")
                break
            except TemporaryError as error:
                if not awaits:
                    raise
                self.waiting_for = service.name
                # Once, whenever the reason is another one, and now and then: not with each of many attempts.
                if str(error) != told or time.monotonic() >= tell_again_at:
                    advice = {"hint": error.hint} if error.hint else {}
                    log.warning(
                        "waiting at the start", service=service.name, awaits=awaits, reason=str(error), **advice
                    )
                    told, tell_again_at = str(error), time.monotonic() + _TELL_AGAIN_S
            await asyncio.sleep(self._pause(attempt))
        if self.waiting_for:
            self.waiting_for = ""
            log.info("waited for, and there now", service=service.name, awaits=awaits)

    async def stop(self) -> StopReport:
        """Drain, then stop. Takes `drain_timeout` seconds and a little grace at most, and never raises."""
        self.is_running = False
        begun = time.monotonic()
        late: list[str] = []
        errors: list[tuple[str, BaseException]] = []
        drain_until = begun + self._drain_timeout * 0.75
        for service in reversed(self._touched):
            left = max(0.0, drain_until - time.monotonic())
            await _noted(f"{service.name}.drain", service.drain(), left, late, errors)
        left = self._drain_timeout - (time.monotonic() - begun)
        stopped = await self._stop_touched(max(left, self._drain_timeout * 0.25))
        return StopReport((*late, *stopped.late), (*errors, *stopped.errors))

    async def _stop_touched(self, budget: float) -> StopReport:
        until = time.monotonic() + budget
        late: list[str] = []
        errors: list[tuple[str, BaseException]] = []
        while self._touched:
            # Each gets its fair share at least, so that one that hangs does not eat the others' time.
            share = max((until - time.monotonic()) / len(self._touched), budget / 10 / len(self._touched))
            service = self._touched.pop()
            await _noted(f"{service.name}.stop", service.stop(), share, late, errors)
        return StopReport(tuple(late), tuple(errors))

    async def run_until(self, stop: asyncio.Event, *, ready: Callable[[], None] = lambda: None) -> RunReport:
        """Start (patiently), wait until `stop` is set or a service dies, stop. Raises only what `start` raises. `ready`
        is called when everything has started.

        A start that takes long, or waits, is given up when `stop` is set.
        """
        starting = asyncio.create_task(self.start(patient=True), name="start")
        asked = asyncio.create_task(stop.wait(), name="stop-event")
        try:
            await asyncio.wait({starting, asked}, return_when=asyncio.FIRST_COMPLETED)
            if not starting.done():
                starting.cancel()
                await asyncio.wait({starting})
        finally:
            asked.cancel()
        if starting.cancelled():
            return RunReport(None, StopReport())
        starting.result()
        ready()
        waiters: dict[asyncio.Task[Any], str] = {asyncio.create_task(stop.wait(), name="stop-event"): ""}
        for service in self._services:
            if isinstance(service, Watched):
                waiters[asyncio.create_task(service.failed(), name=f"{service.name}.failed")] = service.name
        died: tuple[str, BaseException] | None = None
        try:
            done, _ = await asyncio.wait(waiters, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                if waiters[task]:
                    died = (waiters[task], task.exception() or task.result())
                    # What to do about it, if the error knows.
                    advice = {"hint": hint} if (hint := getattr(died[1], "hint", "")) else {}
                    log.error("service died", service=died[0], error=repr(died[1]), **advice)
                    break
        finally:
            for task in waiters:
                task.cancel()
            await asyncio.wait(waiters, timeout=_GRACE_S)
            stopped = await self.stop()
        for step in stopped.late:
            log.warning("step over its time", step=step)
        for step, error in stopped.errors:
            log.warning("step failed", step=step, error=repr(error))
        return RunReport(died, stopped)


async def _bounded(name: str, coro: Coroutine[Any, Any, None], timeout: float) -> bool:
    """Run one step. True if it was over its time; its error is raised."""
    task = asyncio.create_task(coro, name=name)
    try:
        done, _ = await asyncio.wait({task}, timeout=timeout)
        if done:
            task.result()
            return False
        task.cancel()
        await asyncio.wait({task}, timeout=_GRACE_S)
        if task.done() and not task.cancelled():
            task.exception()  # looked at, so that the loop does not report it a second time
        return True
    except asyncio.CancelledError:
        task.cancel()
        raise


async def _noted(
    name: str,
    coro: Coroutine[Any, Any, None],
    timeout: float,
    late: list[str],
    errors: list[tuple[str, BaseException]],
) -> None:
    try:
        if await _bounded(name, coro, timeout):
            late.append(name)
    except Exception as error:
        errors.append((name, error))


@contextlib.contextmanager
def stop_on_signals(
    stop: asyncio.Event, signals: Sequence[signal.Signals] = (signal.SIGTERM, signal.SIGINT)
) -> Iterator[None]:
    """Set `stop` on the first of `signals`; a second one ends the process as if nobody cared."""
    loop = asyncio.get_running_loop()

    def handler(received: signal.Signals) -> Callable[[], None]:
        def handle() -> None:
            log.info("stopping", signal=received.name)
            for each in signals:
                loop.remove_signal_handler(each)
            stop.set()

        return handle

    for each in signals:
        loop.add_signal_handler(each, handler(each))
    try:
        yield
    finally:
        for each in signals:
            loop.remove_signal_handler(each)
