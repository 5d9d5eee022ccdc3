"""Brokers in tests: the embedded one, and Apache Kafka (see tests/kit/kafka.py for where it comes from)."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from aiokafka.admin import AIOKafkaAdminClient

from bus import admin
from bus.admin import Finding
from bus.brokers.embedded import EmbeddedBroker
from bus.kafka import KafkaSink, KafkaSource
from bus.settings import KafkaSettings
from bus.topics import TOPICS, Topic


class BrokerHarness:
    """A running broker as the contract suites want it."""

    def __init__(self, address: str, *, is_embedded: bool) -> None:
        self.address = address
        self.is_embedded = is_embedded

    def sink(self) -> KafkaSink:
        return KafkaSink(self.address, embedded=self.is_embedded, send_timeout_s=5.0 if self.is_embedded else 10.0)

    def source(self, group: str, topics: Sequence[str]) -> KafkaSource:
        return KafkaSource(self.address, group, topics, embedded=self.is_embedded)

    async def apply(self, topics: Sequence[Topic], partitions: int) -> list[str]:
        return await admin.apply(self.address, topics, partitions, 1)

    async def check(self, topics: Sequence[Topic], partitions: int) -> list[Finding]:
        return await admin.check(self.address, topics, partitions)


class EmbeddedHarness(BrokerHarness):
    """The embedded broker; `broker` can be killed, and comes back at another address."""

    def __init__(self, broker: EmbeddedBroker) -> None:
        self.broker = broker
        self.is_embedded = True

    @property
    def address(self) -> str:  # type: ignore[override]
        return self.broker.address


@asynccontextmanager
async def embedded(settings: KafkaSettings | None = None) -> AsyncIterator[EmbeddedHarness]:
    broker = EmbeddedBroker(settings or KafkaSettings())
    await broker.start()
    try:
        yield EmbeddedHarness(broker)
    finally:
        await broker.stop()


@asynccontextmanager
async def emptied(address: str, partitions: int) -> AsyncIterator[BrokerHarness]:
    """Apache Kafka at `address` with the house's topics made anew: no records, and no offsets of any group."""
    await forget(address, [*(topic.name for topic in TOPICS), "another"])
    await admin.apply(address, TOPICS, partitions, 1)
    yield BrokerHarness(address, is_embedded=False)


async def forget(address: str, names: Sequence[str]) -> None:
    """Delete these topics, and wait until they are gone: groups lose their offsets in them with them."""
    client = AIOKafkaAdminClient(bootstrap_servers=address, request_timeout_ms=10_000)
    await client.start()
    try:
        async with asyncio.timeout(30):
            if there := sorted(set(await client.list_topics()) & set(names)):
                await client.delete_topics(there)
            while set(await client.list_topics()) & set(names):
                await asyncio.sleep(0.02)
    finally:
        await client.close()
