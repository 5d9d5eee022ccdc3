"""Each host under the same suite: the bare one in memory and on Kafka's protocol, Faust on Kafka's protocol."""

from collections.abc import AsyncIterator

import pytest

from bus.memory import MemoryBus
from bus.settings import KafkaSettings
from bus.topics import INTERACTIONS, TOPICS
from router.hosts.bus_host import GROUP, BusHost
from router.hosts.faust_host import FaustHost
from tests.contract.host_contract import HostContract, Rig
from tests.kit.broker import EmbeddedHarness, embedded

PARTITIONS = 3


class TestBareHostInMemory(HostContract):
    @pytest.fixture
    async def rig(self) -> Rig:
        bus = MemoryBus()
        await bus.apply(TOPICS, PARTITIONS)
        return Rig(bus, lambda triage: BusHost(triage, bus.source(GROUP, [INTERACTIONS]), bus.sink()))


@pytest.fixture
async def broker() -> AsyncIterator[EmbeddedHarness]:
    async with embedded(KafkaSettings(partitions=PARTITIONS)) as running:
        yield running


@pytest.mark.acceptance
class TestBareHostOnTheEmbeddedBroker(HostContract):
    @pytest.fixture
    async def rig(self, broker: EmbeddedHarness) -> Rig:
        return Rig(broker, lambda triage: BusHost(triage, broker.source(GROUP, [INTERACTIONS]), broker.sink()))


@pytest.mark.acceptance
class TestFaustHostOnTheEmbeddedBroker(HostContract):
    @pytest.fixture
    async def rig(self, broker: EmbeddedHarness) -> Rig:
        address = broker.broker.address

        def make(triage):  # type: ignore[no-untyped-def]
            return FaustHost(triage, broker.sink(), address=address, partitions=PARTITIONS, embedded=True)

        return Rig(broker, make)
