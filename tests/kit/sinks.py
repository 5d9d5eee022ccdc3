"""What the relay writes to: a bus in memory, and a sink that fails when it is told to."""

from collections.abc import Callable, Sequence

from bus.memory import MemoryBus
from bus.records import Failed, Outcome, Outgoing
from bus.topics import TOPICS


class FaultySink:
    """Writes to a MemoryBus; `fault` says of each record whether it fails, or is written and then 'fails'."""

    def __init__(self, bus: MemoryBus, fault: Callable[[Outgoing], str | None] = lambda _: None) -> None:
        self._inner, self._fault = bus.sink(), fault
        self.waves: list[list[Outgoing]] = []

    async def write(self, records: Sequence[Outgoing]) -> list[Outcome]:
        self.waves.append(list(records))
        faults = [self._fault(record) for record in records]
        written = iter(await self._inner.write([r for r, f in zip(records, faults, strict=True) if f != "fail"]))
        outcomes: list[Outcome] = []
        for fault in faults:
            outcome = Failed("injected") if fault == "fail" else next(written)
            outcomes.append(Failed("confirmation lost") if fault == "lost" else outcome)
        return outcomes

    async def close(self) -> None:
        await self._inner.close()


async def memory_bus() -> MemoryBus:
    bus = MemoryBus()
    await bus.apply(TOPICS, 6)
    return bus
