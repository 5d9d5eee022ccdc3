"""The embedded broker in tests."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from bus import admin
from bus.admin import Finding
from bus.brokers.embedded import EmbeddedBroker
from bus.kafka import KafkaSink, KafkaSource
from bus.settings import KafkaSettings
from bus.topics import Topic


class EmbeddedHarness:
    """A running embedded broker as the contract suite wants it."""

    def __init__(self, broker: EmbeddedBroker) -> None:
        self.broker = broker

    def sink(self) -> KafkaSink:
        return KafkaSink(self.broker.address, embedded=True, send_timeout_s=5.0)

    def source(self, group: str, topics: Sequence[str]) -> KafkaSource:
        return KafkaSource(self.broker.address, group, topics, embedded=True)

    async def apply(self, topics: Sequence[Topic], partitions: int) -> list[str]:
        return await admin.apply(self.broker.address, topics, partitions, 1)

    async def check(self, topics: Sequence[Topic], partitions: int) -> list[Finding]:
        return await admin.check(self.broker.address, topics, partitions)


@asynccontextmanager
async def embedded(settings: KafkaSettings | None = None) -> AsyncIterator[EmbeddedHarness]:
    broker = EmbeddedBroker(settings or KafkaSettings())
    await broker.start()
    try:
        yield EmbeddedHarness(broker)
    finally:
        await broker.stop()
