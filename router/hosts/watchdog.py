"""Notices a host that is alive and gets nothing done: a client of Kafka may stop reading and never say so.

What counts is the broker's own word: the offset that the group has committed for a partition, beside its end. If there
is something to do, nothing is committed for a while, and the host does not know why, the process ends, and whoever
supervises it starts another.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Protocol

from bus.records import Place
from runtime.clock import Clock, SystemClock
from runtime.lifecycle import Service
from runtime.logs import get_logger
from runtime.tasks import TaskOwner
from schemas.errors import TemporaryError, is_temporary

LOOK_EVERY_S = 5.0
STUCK_AFTER_S = 60.0

log = get_logger(__name__)

Positions = Mapping[Place, tuple[int, int]]
"""Partition → committed offset (0 when there is none), end of its log."""


class StuckError(TemporaryError):
    """The host reads or commits nothing although there is something to do. A new process can help."""


class Host(Service, Protocol):
    """A host that says which partitions it holds, and why it waits, if it knows."""

    @property
    def paused(self) -> str: ...

    @property
    def held(self) -> Collection[Place]: ...


class Progress:
    """Since when nothing has moved where something is to be done. Pure."""

    def __init__(self) -> None:
        self._seen: dict[Place, tuple[int, float]] = {}

    def stuck(self, positions: Positions, now: float) -> tuple[Place, float] | None:
        """The partition that waits longest, and for how many seconds; None if none waits."""
        waits: list[tuple[float, Place]] = []
        for place, (committed, end) in positions.items():
            before = self._seen.get(place)
            if committed >= end or before is None or before[0] != committed:
                self._seen[place] = (committed, now)
            else:
                waits.append((now - before[1], place))
        for place in self._seen.keys() - positions.keys():
            del self._seen[place]
        longest = max(waits, default=None)
        return (longest[1], longest[0]) if longest else None

    def forget(self) -> None:
        """Begin to count anew."""
        self._seen.clear()


class Watchdog:
    """Service around a host. `positions` asks the broker about the host's group; its temporary errors are no news.

    A host that holds nothing is judged by the whole group: with more hosts than partitions one may well be idle.
    """

    def __init__(
        self,
        host: Host,
        positions: Callable[[], Awaitable[Positions]],
        *,
        stuck_after_s: float = STUCK_AFTER_S,
        look_every_s: float = LOOK_EVERY_S,
        clock: Clock | None = None,
        stuck: Callable[[], None] | None = None,
    ) -> None:
        """`stuck`: what helps instead of the end of the process."""
        self.name = f"{host.name} watchdog"
        self._stuck = stuck
        self._host = host
        self._positions = positions
        self._stuck_after_s = stuck_after_s
        self._look_every_s = look_every_s
        self._clock: Clock = clock or SystemClock()
        self._progress = Progress()
        self._tasks = TaskOwner()

    async def start(self) -> None:
        self._tasks.spawn(self.name, self._watch())

    async def drain(self) -> None:
        """A host that drains commits no more: stop looking."""
        await self._tasks.cancel_all(1.0)

    async def stop(self) -> None:
        await self._tasks.cancel_all(1.0)

    async def failed(self) -> BaseException:
        return (await self._tasks.wait_failed())[1]

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._look_every_s)
            if self._host.paused:
                self._progress.forget()
                continue
            try:
                positions = await self._positions()
            except Exception as error:
                if not is_temporary(error):
                    raise
                self._progress.forget()
                continue
            held = set(self._host.held)
            mine = {place: where for place, where in positions.items() if place in held or not held}
            found = self._progress.stuck(mine, self._clock.monotonic())
            if found is not None and found[1] >= self._stuck_after_s:
                (topic, partition), seconds = found
                verdict = StuckError(
                    f"nothing of {topic}/{partition} was committed for {seconds:.0f} s, and more is there"
                )
                if self._stuck is None:
                    raise verdict
                log.error("stuck: begun anew", service=self._host.name, error=str(verdict))
                self._stuck()
                self._progress.forget()
