"""The embedded broker as a real process: it dies, comes back empty, and the outbox fills it again."""

import asyncio
import os
import signal
import subprocess
import sys
import time

import pytest

from bus import admin
from bus.brokers.embedded import EmbeddedBroker, resident_bytes
from bus.kafka import KafkaSink, KafkaSource
from bus.reconnect import MovableSource
from bus.records import Confirmed, Failed, Outgoing, Record
from bus.relay import Relay
from bus.settings import KafkaSettings
from bus.topics import INTERACTIONS, TOPICS
from runtime.metrics import Metrics
from schemas.errors import BrokerUnavailable
from tests.kit.broker import embedded
from tests.kit.outbox import MemoryOutbox
from tests.kit.processes import alive, gone

pytestmark = pytest.mark.acceptance


def kill(broker: EmbeddedBroker) -> int:
    pid = broker.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    return pid


async def test_starts_quickly_with_its_topics_and_stops() -> None:
    begun = time.monotonic()
    async with embedded() as running:
        assert time.monotonic() - begun < 5
        broker = running.broker
        pid = broker.pid
        assert pid is not None
        assert broker.is_ready
        assert await running.check(TOPICS, 6) == []
        assert await admin.cluster_id(broker.address) == broker.incarnation
        assert resident_bytes(pid) > 1_000_000
    assert await gone([pid])


async def test_after_a_kill_it_is_back_elsewhere_empty_with_topics_before_anybody_hears() -> None:
    heard: list[tuple[str, str]] = []
    findings: list[admin.Finding] = []
    told = asyncio.Event()

    async def listen(address: str, incarnation: str) -> None:
        heard.append((address, incarnation))
        findings.extend(await admin.check(address, TOPICS, 6))
        told.set()

    async with embedded() as running:
        broker = running.broker
        broker.on_restart(listen)
        before = (broker.address, broker.incarnation)
        kill(broker)
        await asyncio.wait_for(told.wait(), 15)
        assert heard == [(broker.address, broker.incarnation)]
        assert heard[0][0] != before[0]
        assert heard[0][1] != before[1]
        assert findings == []


async def test_a_dead_broker_gives_outcomes_and_errors_in_time_and_no_hang() -> None:
    async with embedded() as running:
        address = running.broker.address
        sink = KafkaSink(address, embedded=True, send_timeout_s=1.0)
        [good] = await sink.write([Outgoing(INTERACTIONS, "k", b"1")])
        assert isinstance(good, Confirmed)
        source = KafkaSource(address, "g", [INTERACTIONS], embedded=True)
        await source.start()
        batch = await source.read(10, 5)
        kill(running.broker)
        begun = time.monotonic()
        outcomes = await sink.write([Outgoing(INTERACTIONS, "k", b"2")] * 3)
        assert all(isinstance(outcome, Failed) for outcome in outcomes)
        again = await sink.write([Outgoing(INTERACTIONS, "k", b"3")])
        assert isinstance(again[0], Failed), "the new producer finds nobody"
        with pytest.raises(BrokerUnavailable):
            await source.commit(batch)
        await source.close()
        await sink.close()
        assert time.monotonic() - begun < 30


@pytest.mark.parametrize("kills", [2])
async def test_relay_and_reader_lose_nothing_when_the_broker_is_killed_again_and_again(kills: int) -> None:
    outbox = MemoryOutbox()
    reading = asyncio.Event()
    records: list[Record] = []
    async with embedded() as running:
        broker = running.broker
        relay = Relay(
            outbox.relay(),
            lambda address: KafkaSink(address, embedded=True, send_timeout_s=2.0),
            broker.address,
            broker.incarnation,
            owner="r",
            metrics=Metrics(),
        )
        source = MovableSource(lambda address: KafkaSource(address, "g", [INTERACTIONS], embedded=True), broker.address)

        async def moved(address: str, incarnation: str) -> None:
            source.move(address)
            await relay.reconnect(address, incarnation)

        async def read() -> None:
            while True:
                try:
                    batch = await source.read(100, 0.2)
                    records.extend(batch)
                    reading.set()
                    await source.commit(batch)
                except BrokerUnavailable:
                    await asyncio.sleep(0.05)

        async def write() -> None:
            for n in range(400):
                outbox.write(INTERACTIONS, f"k{n % 8}", str(n))
                await asyncio.sleep(0.01)

        broker.on_restart(moved)
        await relay.start()
        reader = asyncio.create_task(read())
        writer = asyncio.create_task(write())
        for _ in range(kills):
            await asyncio.sleep(1.2)
            kill(broker)
        await writer
        wanted = {row.event_id for row in outbox.rows}
        async with asyncio.timeout(60):
            while wanted - {ids(record) for record in records}:
                await asyncio.sleep(0.1)
        # Whoever comes new sees, in the last life, everything in order.
        async with asyncio.timeout(20):
            while outbox.pending_in(broker.incarnation):
                await asyncio.sleep(0.05)
        late = running.source("late", [INTERACTIONS])
        await late.start()
        lanes: dict[bytes | None, list[int]] = {}
        async with asyncio.timeout(20):
            while sum(len(set(lane)) for lane in lanes.values()) < 400:
                for record in await late.read(500, 0.2):
                    lanes.setdefault(record.key, []).append(int(ids(record).split(":")[1]))
        for lane in lanes.values():
            assert list(dict.fromkeys(lane)) == list(range(50))
        reader.cancel()
        await asyncio.wait({reader}, timeout=5)
        await asyncio.gather(late.close(), source.close(), relay.stop())


def ids(record: Record) -> str:
    return dict(record.headers)["ce_id"].decode()


PARENT = """
import asyncio, sys
sys.path.insert(0, {root!r})
from bus.brokers.embedded import EmbeddedBroker
from bus.settings import KafkaSettings
from runtime.logs import LogSettings, configure_logs
configure_logs(LogSettings())
async def main():
    broker = EmbeddedBroker(KafkaSettings())
    await broker.start()
    print(broker.pid, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


async def test_it_dies_with_a_parent_that_is_killed() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT.format(root=os.getcwd())], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    try:
        pid = int(await asyncio.to_thread(parent.stdout.readline))
        assert alive(pid)
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()
    assert await gone([pid])


async def test_growth_is_noticed(capsys: pytest.CaptureFixture[str]) -> None:
    settings = KafkaSettings(embedded_memory_warning=50_000_000)
    async with embedded(settings) as running:
        sink = running.sink()
        for _ in range(8):
            await sink.write([Outgoing(INTERACTIONS, f"k{n}", os.urandom(900_000)) for n in range(12)])
        await sink.close()
        assert resident_bytes(running.broker.pid) > 50_000_000
        await running.broker._tasks.cancel_all(1)
        watch = asyncio.create_task(running.broker._watch_memory())
        await asyncio.sleep(0.05)
        watch.cancel()
    assert "never gives memory back" in capsys.readouterr().out
