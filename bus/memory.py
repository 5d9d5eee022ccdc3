"""The bus in memory: partitions, offsets, groups, redelivery. For tests, and for trying things without a broker."""

import asyncio
import itertools
import time
from collections.abc import Iterable, Sequence

from bus.admin import Finding, PartitionsDifferError
from bus.records import Batch, Confirmed, Failed, Outcome, Outgoing, Place, Record, Refused
from bus.topics import Topic, partition_for
from schemas.errors import BrokerUnavailable

MAX_RECORD_BYTES = 1_048_576


class _Group:
    def __init__(self) -> None:
        self.members: list[MemorySource] = []
        self.committed: dict[Place, int] = {}


class MemoryBus:
    """All partitions of all topics. Belongs to one event loop."""

    def __init__(self) -> None:
        self._logs: dict[str, list[list[Record]]] = {}
        self._cleanup: dict[str, str] = {}
        self._groups: dict[str, _Group] = {}
        self._written = asyncio.Event()
        self.down = False
        """While True every call fails as if the broker were away."""

    async def apply(self, topics: Sequence[Topic], partitions: int) -> list[str]:
        """As `bus.admin.apply`."""
        wrong = [f for f in await self.check(topics, partitions) if f.kind == "partitions"]
        if wrong:
            raise PartitionsDifferError(wrong)
        made = [topic.name for topic in topics if topic.name not in self._logs]
        for topic in topics:
            self._logs.setdefault(topic.name, [[] for _ in range(partitions)])
            self._cleanup[topic.name] = topic.configs()["cleanup.policy"]
        return made

    async def check(self, topics: Sequence[Topic], partitions: int) -> list[Finding]:
        """As `bus.admin.check`."""
        out = []
        for topic in topics:
            if topic.name not in self._logs:
                out.append(Finding(topic.name, "missing", "the topic does not exist"))
            elif (count := len(self._logs[topic.name])) != partitions:
                out.append(Finding(topic.name, "partitions", f"{count} partitions, {partitions} are configured"))
        return out

    def sink(self) -> "MemorySink":
        return MemorySink(self)

    def source(self, group: str, topics: Sequence[str]) -> "MemorySource":
        return MemorySource(self, group, topics)

    def log(self, topic: str) -> list[Record]:
        """Everything in a topic, partition by partition."""
        return list(itertools.chain(*self._logs[topic]))

    def require(self) -> None:
        if self.down:
            raise BrokerUnavailable("the in-memory bus is down")

    def partitions_of(self, topics: Sequence[str]) -> list[Place]:
        return [(topic, n) for topic in topics for n in range(len(self._logs.get(topic, ())))]

    def records(self, place: Place) -> list[Record]:
        return self._logs[place[0]][place[1]]

    def group(self, name: str) -> _Group:
        return self._groups.setdefault(name, _Group())

    def append(self, item: Outgoing) -> Outcome:
        if self.down:
            return Failed("the in-memory bus is down")
        logs = self._logs.get(item.topic)
        if logs is None:
            return Failed(f"unknown topic {item.topic}")
        if len(item.value) > MAX_RECORD_BYTES:
            return Refused(f"{len(item.value)} bytes; the limit is {MAX_RECORD_BYTES}")
        number = partition_for(item.key, len(logs)) if item.partition is None else item.partition
        log = logs[number]
        now = int(time.time() * 1000)
        log.append(Record(item.topic, number, len(log), item.key.encode(), item.value, item.headers, now))
        return Confirmed(number, len(log) - 1)

    def positions(self, group: str, topics: Sequence[str]) -> dict[Place, tuple[int, int]]:
        """As `bus.positions.positions`."""
        self.require()
        committed = self.group(group).committed
        return {place: (committed.get(place, 0), len(self.records(place))) for place in self.partitions_of(topics)}

    def wake(self) -> None:
        self._written.set()
        self._written = asyncio.Event()

    async def wait_written(self, timeout: float) -> None:
        written = self._written
        try:
            async with asyncio.timeout(timeout):
                await written.wait()
        except TimeoutError:
            return


class MemorySink:
    """Sink on a MemoryBus."""

    def __init__(self, bus: MemoryBus) -> None:
        self._bus = bus
        self._closed = False

    async def write(self, records: Sequence[Outgoing]) -> list[Outcome]:
        await asyncio.sleep(0)  # a real broker never answers within the same step
        outcomes: list[Outcome] = [Failed("closed") if self._closed else self._bus.append(r) for r in records]
        self._bus.wake()
        return outcomes

    async def close(self) -> None:
        self._closed = True


class MemorySource:
    """Source on a MemoryBus."""

    def __init__(self, bus: MemoryBus, group: str, topics: Sequence[str]) -> None:
        self._bus, self._group, self._topics = bus, bus.group(group), list(topics)
        self._positions: dict[Place, int] = {}
        self._epochs: dict[Place, int] = {}
        self._paused: set[Place] = set()

    @property
    def assignment(self) -> frozenset[Place]:
        return frozenset(self._positions)

    async def start(self) -> None:
        self._bus.require()
        self._group.members.append(self)
        self._rebalance()

    def _rebalance(self) -> None:
        members = self._group.members
        for member in members:
            member.assign([])
        for index, place in enumerate(self._bus.partitions_of(self._topics)):
            if members:
                members[index % len(members)].assign([place], add=True)
        self._bus.wake()

    def assign(self, places: Sequence[Place], add: bool = False) -> None:
        if not add:
            self._positions.clear()
            self._paused.clear()
        for place in places:
            self._positions[place] = self._group.committed.get(place, 0)
            self._epochs[place] = self._epochs.get(place, 0) + 1

    async def read(self, max_records: int, timeout: float) -> Batch:
        until = time.monotonic() + timeout
        while True:
            self._bus.require()
            batch = self._take(max_records)
            left = until - time.monotonic()
            if len(batch) or left <= 0:
                return batch
            await self._bus.wait_written(left)

    def _take(self, max_records: int) -> Batch:
        taken: dict[Place, tuple[Record, ...]] = {}
        for place, position in self._positions.items():
            if max_records <= 0:
                break
            if place not in self._paused and (new := self._bus.records(place)[position:][:max_records]):
                taken[place] = tuple(new)
                self._positions[place] = new[-1].offset + 1
                max_records -= len(new)
        return Batch(taken, {place: self._epochs[place] for place in taken})

    async def commit(self, batch: Batch) -> frozenset[Place]:
        self._bus.require()
        done = []
        for place, records in batch.records.items():
            if place in self._positions and self._epochs[place] == batch.epochs[place]:
                self._group.committed[place] = records[-1].offset + 1
                done.append(place)
        return frozenset(done)

    async def seek_back(self, batch: Batch) -> None:
        for place, records in batch.records.items():
            if place in self._positions and self._epochs[place] == batch.epochs[place]:
                self._positions[place] = records[0].offset
                self._epochs[place] += 1

    def pause(self, places: Iterable[Place]) -> None:
        self._paused.update(places)

    def resume(self, places: Iterable[Place]) -> None:
        self._paused.difference_update(places)
        self._bus.wake()

    async def close(self) -> None:
        if self in self._group.members:
            self._group.members.remove(self)
            self.assign([])
            self._rebalance()
