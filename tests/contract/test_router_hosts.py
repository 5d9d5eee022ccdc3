"""Each host under the same suite: the bare one in memory and on Kafka's protocol, Faust on the embedded broker and on
Apache Kafka."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from functools import partial

import pytest
from faust.types.tuples import TP

from bus.memory import MemoryBus
from bus.port import Sink
from bus.positions import positions
from bus.records import Outcome, Outgoing
from bus.settings import KafkaSettings
from bus.topics import INTERACTIONS, TOPICS
from router.hosts import batch_transport
from router.hosts.bus_host import GROUP, BusHost
from router.hosts.faust_host import FaustHost
from router.hosts.triage import Triage
from router.hosts.watchdog import Positions, StuckError, Watchdog
from schemas.decision import Decision
from schemas.errors import BrokerUnavailable
from tests.contract.host_contract import HostContract, Rig, Told, interaction, record
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
    embedded_ = harness.is_embedded
    return partial(positions, harness.address, GROUP, [INTERACTIONS], partitions=PARTITIONS, embedded=embedded_)


class Gate:
    """A sink that stands before a real one: a write that came before it was `open` waits for that, and fails then."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self.open = asyncio.Event()

    async def write(self, records: Sequence[Outgoing]) -> list[Outcome]:
        if not self.open.is_set():
            await self.open.wait()
            raise BrokerUnavailable("as told")
        return await self._sink.write(records)

    async def close(self) -> None:
        await self._sink.close()


class FaustContract(HostContract):
    """What Faust can get wrong besides."""

    async def test_what_is_sought_back_is_decided_again_and_nothing_is_skipped(self, rig: Rig) -> None:
        await rig.put(*(record(interaction(n)) for n in range(1, 6)))
        host = rig.host()
        await host.start()
        await rig.until_committed(5)
        [place] = [place for place, (committed, _) in (await rig.positions()).items() if committed]
        await host._app.consumer.seek(TP(*place), 2)  # type: ignore[attr-defined]
        await rig.put(record(interaction(6)))
        await rig.until_committed(6)
        seqs = [r.seq for r in await rig.results(9, repeats=True) if isinstance(r, Decision)]
        assert seqs[:5] == [1, 2, 3, 4, 5]
        assert set(seqs[5:]) >= {3, 4, 5}
        assert len(await rig.results(6)) == 6
        await host.drain()
        await host.stop()

    async def test_a_host_held_in_its_writes_neither_writes_nor_commits_for_what_it_lost(
        self, rig: Rig, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(batch_transport, "WAIT_EMPTY_S", 1.0)
        await rig.put(*(record(interaction(n, f"c{n}")) for n in range(1, 13)))
        filled = {place for place, (_, end) in (await rig.positions()).items() if end}
        by_slow, by_heir = defaultdict[int, set[str]](set), defaultdict[int, set[str]](set)
        gate = Gate(Told(rig.bus.sink(), by_slow))
        slow: FaustHost = rig.host(gate)  # type: ignore[assignment]
        await slow.start()
        async with asyncio.timeout(40):
            while slow._writing.keys() < filled:
                await asyncio.sleep(0.05)
        held_up = set(slow._writing.values())
        heir: FaustHost = rig.host(Told(rig.bus.sink(), by_heir))  # type: ignore[assignment]
        await heir.start()
        lost: set[int] = set()
        async with asyncio.timeout(60):
            while not lost:
                await asyncio.sleep(0.05)
                lost = by_heir.keys() - {partition for _, partition in slow.held}
        gate.open.set()
        async with asyncio.timeout(20):
            await asyncio.wait(held_up)
        assert not by_slow.keys() & lost, "the heir has done it"
        await rig.until_committed(12, 60)
        assert len(set().union(*by_slow.values(), *by_heir.values())) == 12

    async def test_a_consumer_that_fetches_no_more_and_says_nothing_is_noticed(self, rig: Rig) -> None:
        await rig.put(record(interaction(1)))
        host = rig.host()
        watchdog = Watchdog(host, rig.positions, stuck_after_s=1.5, look_every_s=0.2)
        await host.start()
        await rig.until_committed(1)

        async def never(*_: object) -> None:
            await asyncio.Event().wait()

        host._app.consumer._wait_next_records = never  # type: ignore[attr-defined]
        await watchdog.start()
        async with asyncio.timeout(40):
            n = 1
            while True:  # the fetch that was under way may still deliver one
                n += 1
                await rig.put(record(interaction(n)))
                failed = asyncio.create_task(watchdog.failed())
                done, _ = await asyncio.wait({failed}, timeout=4.0)
                if done:
                    break
                failed.cancel()
        assert isinstance(failed.result(), StuckError)
        await watchdog.stop()
        await host.stop()
        after = rig.host()
        await after.start()
        await rig.until_committed(n)
        await after.drain()
        await after.stop()


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
class TestFaustHostOnTheEmbeddedBroker(FaustContract):
    @pytest.fixture
    async def rig(self, broker: BrokerHarness) -> Rig:
        return faust(broker)


@pytest.mark.acceptance
@pytest.mark.kafka
class TestFaustHostOnApacheKafka(FaustContract):
    @pytest.fixture
    async def rig(self, kafka: BrokerHarness) -> Rig:
        return faust(kafka)
