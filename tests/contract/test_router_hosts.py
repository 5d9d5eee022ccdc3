"""Each host under the same suite: the bare one in memory and on Kafka's protocol, Faust on the embedded broker and on
Apache Kafka."""

from collections.abc import AsyncIterator
from functools import partial

import pytest

from bus.memory import MemoryBus
from bus.port import Sink
from bus.positions import positions
from bus.settings import KafkaSettings
from bus.topics import INTERACTIONS, TOPICS
from router.hosts.bus_host import GROUP, BusHost
from router.hosts.faust_host import FaustHost
from router.hosts.triage import Triage
from router.hosts.watchdog import Positions
from tests.contract.host_contract import HostContract, Rig
from tests.kit.broker import BrokerHarness, embedded, emptied

PARTITIONS = 3


class TestBareHostInMemory(HostContract):
    @pytest.fixture
    async def rig(self) -> Rig:
        bus = MemoryBus()
        await bus.apply(TOPICS, PARTITIONS)

        async def where() -> Positions:
            return bus.positions(GROUP, [INTERACTIONS])

        def make(triage: Triage, sink: Sink) -> BusHost:
            return BusHost(triage, bus.source(GROUP, [INTERACTIONS]), sink)

        return Rig(bus, make, where)


def bare(harness: BrokerHarness) -> Rig:
    def make(triage: Triage, sink: Sink) -> BusHost:
        return BusHost(triage, harness.source(GROUP, [INTERACTIONS]), sink)

    return Rig(harness, make, _positions(harness))


def faust(harness: BrokerHarness) -> Rig:
    def make(triage: Triage, sink: Sink) -> FaustHost:
        embedded_ = harness.is_embedded
        return FaustHost(triage, sink, address=harness.address, partitions=PARTITIONS, embedded=embedded_, batch_max=20)

    return Rig(harness, make, _positions(harness))


def _positions(harness: BrokerHarness):  # type: ignore[no-untyped-def]
    return partial(positions, harness.address, GROUP, [INTERACTIONS], embedded=harness.is_embedded)


@pytest.fixture
async def broker() -> AsyncIterator[BrokerHarness]:
    async with embedded(KafkaSettings(partitions=PARTITIONS)) as running:
        yield running


@pytest.fixture
async def kafka(kafka_server: str) -> AsyncIterator[BrokerHarness]:
    async with emptied(kafka_server, PARTITIONS) as running:
        yield running


@pytest.mark.acceptance
class TestBareHostOnTheEmbeddedBroker(HostContract):
    @pytest.fixture
    async def rig(self, broker: BrokerHarness) -> Rig:
        return bare(broker)


@pytest.mark.acceptance
class TestFaustHostOnTheEmbeddedBroker(HostContract):
    @pytest.fixture
    async def rig(self, broker: BrokerHarness) -> Rig:
        return faust(broker)


@pytest.mark.acceptance
@pytest.mark.kafka
class TestFaustHostOnApacheKafka(HostContract):
    @pytest.fixture
    async def rig(self, kafka: BrokerHarness) -> Rig:
        return faust(kafka)
