"""Background tasks that have a name and an owner, and whose death is noticed."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from schemas.errors import SwitchboardError


class TaskEnded(SwitchboardError):
    """A task that should run until it is cancelled came to its end without an error."""


class TaskOwner:
    """Owns background tasks of one component. All methods belong to the event loop that runs the tasks."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._failed: tuple[str, BaseException] | None = None
        self._noticed = asyncio.Event()

    def spawn(self, name: str, coro: Coroutine[Any, Any, Any], *, forever: bool = True) -> asyncio.Task[Any]:
        """Start `coro` under `name`. With `forever`, even a clean end counts as a death (TaskEnded)."""
        task = asyncio.get_running_loop().create_task(coro, name=name)
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._on_done(done, forever))
        return task

    def _on_done(self, task: asyncio.Task[Any], forever: bool) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is None and forever:
            error = TaskEnded(f"{task.get_name()} ended although it should run on")
        if error is not None and self._failed is None:
            self._failed = (task.get_name(), error)
            self._noticed.set()

    @property
    def failed(self) -> tuple[str, BaseException] | None:
        """Name and error of the first task that died, or None."""
        return self._failed

    @property
    def running(self) -> list[str]:
        """The names of the tasks that are alive."""
        return sorted(task.get_name() for task in self._tasks)

    async def wait_failed(self) -> tuple[str, BaseException]:
        """Wait until a task dies; gives the name and error of the first. Waits for ever if none does."""
        await self._noticed.wait()
        assert self._failed is not None
        return self._failed

    async def cancel_all(self, timeout: float) -> list[str]:
        """Cancel every task and wait at most `timeout` seconds. Returns the names of those still alive."""
        mine = asyncio.current_task()
        tasks = {task for task in self._tasks if task is not mine}
        for task in tasks:
            task.cancel()
        if not tasks:
            return []
        _, pending = await asyncio.wait(tasks, timeout=timeout)
        return sorted(task.get_name() for task in pending)

    async def finish(self, timeout: float) -> list[str]:
        """Let the tasks end by themselves for at most `timeout` seconds, then cancel the others.

        Returns the names of those that are alive even so.
        """
        mine = asyncio.current_task()
        if tasks := {task for task in self._tasks if task is not mine}:
            await asyncio.wait(tasks, timeout=timeout)
        return await self.cancel_all(1.0)
