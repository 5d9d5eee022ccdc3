"""The applier and the senders read like the router: a client that has gone deaf must not keep them deaf."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from bus.kafka import KafkaSource
from bus.records import Batch, Outgoing
from bus.settings import KafkaSettings
from bus.topics import DECISIONS, TOPICS
from switchboard.watched_pump import WatchedPump
from tests.kit.broker import EmbeddedHarness, embedded

PARTITIONS = 2


class Handled:
    def __init__(self) -> None:
        self.values: set[bytes | None] = set()

    async def handle(self, batch: Batch) -> None:
        self.values |= {record.value for record in batch}

    async def until(self, values: set[bytes]) -> None:
        async with asyncio.timeout(60):
            while not values <= self.values:
                await asyncio.sleep(0.05)


def pump(site: EmbeddedHarness, handled: Handled) -> WatchedPump:
    broker: Any = SimpleNamespace(address=site.address, is_embedded=True)
    lives: Any = SimpleNamespace(group=lambda name: name, on_life=lambda callback: None)
    return WatchedPump(
        "applier", "g", [DECISIONS], handled.handle,
        broker=broker, lives=lives, partitions=PARTITIONS, look_every_s=0.3, stuck_after_s=1.5,
    )  # fmt: skip


async def write(site: EmbeddedHarness, *values: bytes) -> None:
    sink = site.sink()
    await sink.write([Outgoing(DECISIONS, "k", value, (), 1) for value in values])
    await sink.close()


@pytest.mark.acceptance
async def test_a_client_that_has_gone_deaf_is_left_for_a_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the router was watched: an applier whose client read nothing, and did not say so, stood still for ever."""
    deaf: set[int] = set()
    read = KafkaSource.read

    async def reads(source: KafkaSource, max_records: int, timeout: float) -> Batch:
        batch = await read(source, max_records, timeout)
        return Batch({}) if id(source) in deaf else batch

    monkeypatch.setattr(KafkaSource, "read", reads)
    async with embedded(KafkaSettings(partitions=PARTITIONS)) as site:
        await site.apply(TOPICS, PARTITIONS)
        handled = Handled()
        service = pump(site, handled)
        assert not service.healthy
        await service.start()
        try:
            await write(site, b"one")
            await handled.until({b"one"})
            assert service.healthy
            deaf.add(id(service._source._source))
            await write(site, b"two", b"three")
            await handled.until({b"one", b"two", b"three"})
        finally:
            await service.drain()
            await service.stop()
