"""An outbox in memory, as the relay wants it; several relays may share one."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence

from bus.relay import OutboxRow
from bus.topics import partition_for
from runtime.clock import Clock, SystemClock
from schemas.errors import StoreUnavailable

Confirmations = dict[int, tuple[int, int]]


class MemoryOutbox:
    """Rows, confirmations per incarnation, leases with epochs. `relay()` hands out one side per relay."""

    def __init__(self, shards: int = 6, clock: Clock | None = None) -> None:
        self.shards = shards
        self.rows: list[OutboxRow] = []
        self.done: dict[str, Confirmations] = {}
        self.dead: dict[int, str] = {}
        self.leases: dict[int, tuple[str, int, float]] = {}
        self.down = False
        self._clock: Clock = clock or SystemClock()
        self._positions: Counter[tuple[str, str]] = Counter()
        self._wakes: list[asyncio.Event] = []

    def relay(self) -> "OutboxSide":
        side = OutboxSide(self)
        self._wakes.append(side.event)
        return side

    def write(self, topic: str, key: str, value: str, size: int = 0) -> OutboxRow:
        position = self._positions[(topic, key)]
        self._positions[(topic, key)] += 1
        row = OutboxRow(
            id=len(self.rows) + 1,
            topic=topic,
            key=key,
            shard=partition_for(key, self.shards),
            position=position,
            event_id=f"{key}:{position}",
            headers=(("ce_id", f"{key}:{position}".encode()),),
            value=value.encode().ljust(size, b"."),
        )
        self.rows.append(row)
        for event in self._wakes:
            event.set()
        return row

    def pending_in(self, incarnation: str) -> list[OutboxRow]:
        done = self.done.get(incarnation, {})
        return [row for row in self.rows if row.id not in done and row.id not in self.dead]

    def holds(self, shards: Mapping[int, int], shard: int) -> bool:
        """True if `shards` names the epoch that holds now: the fence."""
        lease = self.leases.get(shard)
        return lease is not None and shards.get(shard) == lease[1]

    def take(self, owner: str, want: int | None, ttl_s: float) -> dict[int, int]:
        now = self._clock.monotonic()
        mine = 0
        for shard in range(self.shards):
            holder, epoch, until = self.leases.get(shard, ("", 0, 0.0))
            if (holder == owner or until <= now) and (want is None or mine < want):
                self.leases[shard] = (owner, epoch if holder == owner else epoch + 1, now + ttl_s)
                mine += 1
        return {shard: lease[1] for shard, lease in self.leases.items() if lease[0] == owner}


class OutboxSide:
    """The Outbox that one relay sees."""

    def __init__(self, shared: MemoryOutbox) -> None:
        self._shared = shared
        self.event = asyncio.Event()

    async def _step(self) -> None:
        await asyncio.sleep(0)
        if self._shared.down:
            raise StoreUnavailable("the outbox is down")

    async def lease(self, owner: str, want: int | None, ttl_s: float) -> dict[int, int]:
        await self._step()
        return self._shared.take(owner, want, ttl_s)

    async def release(self, owner: str) -> None:
        await self._step()
        for shard, (holder, epoch, _) in list(self._shared.leases.items()):
            if holder == owner:
                self._shared.leases[shard] = ("", epoch, 0.0)

    async def pending(self, shards: Mapping[int, int], incarnation: str, limit: int) -> list[OutboxRow]:
        await self._step()
        return [row for row in self._shared.pending_in(incarnation) if row.shard in shards][:limit]

    async def confirmed(
        self, shards: Mapping[int, int], incarnation: str, rows: Sequence[tuple[OutboxRow, int, int]]
    ) -> None:
        await self._step()
        done = self._shared.done.setdefault(incarnation, {})
        for row, partition, offset in rows:
            if self._shared.holds(shards, row.shard):
                done[row.id] = (partition, offset)

    async def refused(self, shards: Mapping[int, int], row: OutboxRow, reason: str) -> None:
        await self._step()
        if self._shared.holds(shards, row.shard):
            self._shared.dead[row.id] = reason

    def wake(self) -> asyncio.Event:
        return self.event
