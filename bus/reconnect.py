"""A source that can be moved to a broker's new address, whatever it is waiting for."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import replace
from typing import Any, TypeVar

from bus.port import Source
from bus.records import Batch, Place
from runtime.tasks import TaskOwner
from schemas.errors import BrokerUnavailable

_T = TypeVar("_T")
_CLOSE_TIMEOUT_S = 5.0


class MovableSource:
    """Source: opens a new one by `open_source(address)` when it was moved, or when the old one failed.

    A move ends whatever call is under way with BrokerUnavailable: a dead broker would keep it for long.
    What was read before can no more be committed; it is read again.
    """

    def __init__(self, open_source: Callable[[str], Source], address: str) -> None:
        self._open = open_source
        self._address = address
        self._moved = asyncio.Event()
        self._source: Source | None = None
        self._life = 0
        self._leaving = TaskOwner()

    def move(self, address: str) -> None:
        """Use `address` from now on. May be called from any task of the loop."""
        self._address = address
        self._moved.set()

    @property
    def assignment(self) -> frozenset[Place]:
        return self._source.assignment if self._source is not None else frozenset()

    async def start(self) -> None:
        await self._current()

    async def _current(self) -> Source:
        if self._moved.is_set():
            self._drop()
            self._moved = asyncio.Event()
        if self._source is None:
            self._life += 1
            source = self._open(self._address)
            try:
                await self._unless_moved(source.start())
            except BaseException:
                self._leave(source)
                raise
            self._source = source
        return self._source

    async def _unless_moved(self, call: Coroutine[Any, Any, _T]) -> _T:
        task = asyncio.ensure_future(call)
        moved = asyncio.ensure_future(self._moved.wait())
        try:
            await asyncio.wait({task, moved}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise BrokerUnavailable("the broker has moved")
            return task.result()
        finally:
            moved.cancel()
            if not task.done():
                self._leaving.spawn("source.call", _dropped(task), forever=False)

    def _drop(self) -> None:
        source, self._source = self._source, None
        if source is not None:
            self._leave(source)

    def _leave(self, source: Source) -> None:
        # Aside: saying goodbye to a dead broker takes seconds, and nobody needs to wait for it.
        self._leaving.spawn("source.leaving", source.close(), forever=False)

    async def read(self, max_records: int, timeout: float) -> Batch:
        source = await self._current()
        try:
            batch = await self._unless_moved(source.read(max_records, timeout))
        except BrokerUnavailable:
            self._drop()
            raise
        return replace(batch, life=self._life)

    def _ours(self, batch: Batch) -> Source | None:
        return self._source if batch.life == self._life and not self._moved.is_set() else None

    async def commit(self, batch: Batch) -> frozenset[Place]:
        source = self._ours(batch)
        return await self._unless_moved(source.commit(batch)) if source else frozenset()

    async def seek_back(self, batch: Batch) -> None:
        if source := self._ours(batch):
            await source.seek_back(batch)

    def pause(self, places: Iterable[Place]) -> None:
        if self._source:
            self._source.pause(places)

    def resume(self, places: Iterable[Place]) -> None:
        if self._source:
            self._source.resume(places)

    async def close(self) -> None:
        self._life += 1
        source, self._source = self._source, None
        if source is not None:
            await source.close()
        await self._leaving.finish(_CLOSE_TIMEOUT_S)


async def _dropped(task: "asyncio.Future[Any]") -> None:
    """End a call that nobody waits for any more, and look at its error."""
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.exception()
