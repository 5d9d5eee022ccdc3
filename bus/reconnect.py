"""A source that can be moved to a broker's new address between two reads."""

from collections.abc import Callable, Iterable
from dataclasses import replace

from bus.port import Source
from bus.records import Batch, Place
from schemas.errors import BrokerUnavailable


class MovableSource:
    """Source: opens a new one by `open_source(address)` when it was moved, or when the old one failed.

    What was read before a move can no more be committed; it is read again.
    """

    def __init__(self, open_source: Callable[[str], Source], address: str) -> None:
        self._open = open_source
        self._address = address
        self._source: Source | None = None
        self._opened_for = ""
        self._life = 0

    def move(self, address: str) -> None:
        """Use `address` from the next read on. May be called from any task of the loop."""
        self._address = address

    async def start(self) -> None:
        await self._current()

    async def _current(self) -> Source:
        if self._source is not None and self._opened_for == self._address:
            return self._source
        await self.close()
        address = self._address
        source = self._open(address)
        try:
            await source.start()
        except BaseException:
            await source.close()
            raise
        self._source, self._opened_for = source, address
        return source

    async def read(self, max_records: int, timeout: float) -> Batch:
        source = await self._current()
        try:
            batch = await source.read(max_records, timeout)
        except BrokerUnavailable:
            await self.close()
            raise
        return replace(batch, life=self._life)

    def _ours(self, batch: Batch) -> Source | None:
        return self._source if self._opened_for == self._address and batch.life == self._life else None

    async def commit(self, batch: Batch) -> frozenset[Place]:
        source = self._ours(batch)
        return await source.commit(batch) if source else frozenset()

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
