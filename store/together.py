"""What comes while one transaction runs goes into the next, all together: a statement for many costs little more than
one for one."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from schemas.errors import TemporaryError

T = TypeVar("T")
R = TypeVar("R")


@dataclass(slots=True)
class _Waiting(Generic[T, R]):
    item: T
    result: asyncio.Future[R] = field(repr=False)


class Together(Generic[T, R]):
    """`do` gets what waits, in order, and gives a result for each. An item that makes it fail is found by doing each
    alone, so that its neighbours do not suffer. `linger_s`: how long the first waits for others."""

    def __init__(
        self, name: str, do: Callable[[Sequence[T]], Awaitable[Sequence[R]]], *, most: int, linger_s: float = 0.0
    ) -> None:
        self._name, self._do, self._most, self._linger_s = name, do, most, linger_s
        self._waiting: list[_Waiting[T, R]] = []
        self._running: asyncio.Task[None] | None = None

    async def add(self, item: T) -> R:
        """The item's own result. Raises what `do` raises for it."""
        waiting: _Waiting[T, R] = _Waiting(item, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run(), name=self._name)
        return await waiting.result

    async def _run(self) -> None:
        while self._waiting:
            if self._linger_s and len(self._waiting) < self._most:
                await asyncio.sleep(self._linger_s)
            batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
            batch = [each for each in batch if not each.result.done()]  # nobody waits for those that were cancelled
            try:
                await self._settle(batch)
            finally:
                for each in batch:
                    each.result.cancel()  # does nothing to one that is settled

    async def _settle(self, batch: Sequence[_Waiting[T, R]]) -> None:
        if not batch:
            return
        try:
            results = await self._do([each.item for each in batch])
        except Exception as error:
            if len(batch) > 1 and not isinstance(error, TemporaryError):
                for each in batch:
                    await self._settle([each])
                return
            for each in batch:
                if not each.result.done():
                    each.result.set_exception(error)
        else:
            for each, result in zip(batch, results, strict=True):
                if not each.result.done():
                    each.result.set_result(result)
