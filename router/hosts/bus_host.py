"""The bare host: the core over any Source and Sink (aiokafka in a process, the in-memory bus in tests)."""

from bus.port import Sink, Source
from bus.pump import Pump
from bus.records import Batch
from router.hosts.publish import publish
from router.hosts.triage import Triage

GROUP = "switchboard-router"


class BusHost(Pump):
    """Reads a batch, decides it, publishes, and only then commits."""

    def __init__(self, triage: Triage, source: Source, sink: Sink, *, batch_max: int = 1000) -> None:
        super().__init__("router", source, self._decide, max_records=batch_max)
        self._triage = triage
        self._sink = sink

    async def stop(self) -> None:
        await super().stop()
        await self._sink.close()

    async def _decide(self, batch: Batch) -> None:
        records = list(batch)
        await publish(self._sink, self._triage, records, await self._triage.process(records))
