"""Ends a process whose event loop no longer turns, and says where it stands.

What blocks the loop blocks every watchdog that runs in it. The standard library's faulthandler has a thread of its own
that needs no GIL: it is set anew while the loop turns, and goes off when nobody does.
"""

import asyncio
import faulthandler

from runtime.tasks import TaskOwner

_TURNS = 6
"""How often it is set anew within its time."""


class LoopWatch:
    """Service for a process that somebody supervises. After `blocked_after_s` seconds without a turn of the loop the
    process writes the traceback of every thread to standard error and exits with 1. One in a process."""

    name = "loop watch"

    def __init__(self, blocked_after_s: float) -> None:
        self._blocked_after_s = blocked_after_s
        self._tasks = TaskOwner()

    async def start(self) -> None:
        self._tasks.spawn(self.name, self._watch())

    async def drain(self) -> None:
        """Goes on: a drain can be blocked, too."""

    async def stop(self) -> None:
        await self._tasks.cancel_all(1.0)
        faulthandler.cancel_dump_traceback_later()

    async def failed(self) -> BaseException:
        return (await self._tasks.wait_failed())[1]

    async def _watch(self) -> None:
        while True:
            faulthandler.dump_traceback_later(self._blocked_after_s, exit=True)
            await asyncio.sleep(self._blocked_after_s / _TURNS)
