"""Apache Kafka as a child of ours: it comes back where it was, and what it lost is published again."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from sqlalchemy import select

from bus import admin
from bus.brokers.external import ExternalBroker
from bus.brokers.local import FOLDER, LocalBroker
from bus.kafka import KafkaSink, KafkaSource
from bus.records import Confirmed, Outgoing
from bus.relay import Relay
from bus.settings import KafkaSettings
from bus.topics import INTERACTIONS, TOPICS, partition_for
from runtime.clock import SystemClock
from runtime.metrics import Metrics
from runtime.processes import ProcessFailedError, RestartPolicy
from schemas.states import InteractionState
from store import ledger, lives, outbox, policies
from store.blobs import Blobs
from store.database import Database
from store.intake import Arrival, Intake
from store.outbox import Outbox
from store.relay_outbox import LogRolledBack, RelayOutbox
from store.schema import upgrade
from store.tables import outbox as outbox_table
from switchboard import lives as lives_
from switchboard.lives import BrokerLives
from tests.conftest import need
from tests.kit import kafka
from tests.kit.contacts import NOW, email
from tests.kit.processes import alive, gone
from tests.kit.town import running

pytestmark = [pytest.mark.acceptance, pytest.mark.kafka, pytest.mark.timeout(180)]


@pytest.fixture(autouse=True)
def java() -> None:
    need(kafka.can_run(), "Java 17 and Maven")


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[LocalBroker]:
    made = LocalBroker(KafkaSettings(brokers="local"), tmp_path)
    await made.start()
    yield made
    await made.stop()


async def killed(broker: LocalBroker) -> None:
    assert broker.pid is not None
    pid = broker.pid
    os.kill(pid, signal.SIGKILL)
    assert await gone([pid])
    while broker.pid == pid:
        await asyncio.sleep(0.005)


async def back(broker: LocalBroker) -> None:
    async with asyncio.timeout(60):
        while not broker.is_ready:
            await asyncio.sleep(0.05)


def truncate(data_dir: Path, topic: str = INTERACTIONS) -> None:
    """Every record of the topic is gone, as after a crash of the machine; the broker must be down."""
    for folder in (data_dir / FOLDER / "logs").glob(f"{topic}-*"):
        for file in folder.iterdir():
            if file.suffix == ".log":
                os.truncate(file, 0)
            elif file.suffix in (".index", ".timeindex", ".snapshot") or "epoch" in file.name:
                file.unlink()


async def test_a_broker_that_has_no_memory_left_ends(tmp_path: Path) -> None:
    """It went on in pieces, and nobody started it anew."""
    small = KafkaSettings(brokers="local").model_copy(update={"local_heap_mb": 16})
    made = LocalBroker(small, tmp_path, restart=RestartPolicy(max_deaths=1))
    try:
        with pytest.raises(ProcessFailedError, match="ended with status 3"):
            await made.start()
    finally:
        await made.stop()


async def test_after_a_kill_it_is_back_at_the_same_place_with_everything(broker: LocalBroker) -> None:
    address, incarnation = broker.address, broker.incarnation
    returned = asyncio.Event()

    async def note() -> None:
        returned.set()

    broker.on_return(note)
    sink = KafkaSink(address, embedded=False, send_timeout_s=10.0)
    outcomes = await sink.write([Outgoing(INTERACTIONS, f"k{n}", str(n).encode()) for n in range(50)])
    assert all(isinstance(outcome, Confirmed) for outcome in outcomes)
    source = KafkaSource(address, "g", [INTERACTIONS], embedded=False)
    await source.start()
    batch = await source.read(1, 10)
    await source.commit(batch)
    await killed(broker)
    await back(broker)
    assert returned.is_set()
    assert (broker.address, broker.incarnation) == (address, incarnation)
    assert await admin.check(address, TOPICS, 6) == []
    found = {record.value for record in batch}
    async with asyncio.timeout(60):
        while len(found) < 50:  # the same consumer goes on by itself, behind what it had committed
            found |= {record.value for record in await source.read(100, 0.5)}
        [again] = await sink.write([Outgoing(INTERACTIONS, "k", b"later")])
    assert isinstance(again, Confirmed)
    await source.close()
    await sink.close()


async def test_an_emptied_folder_is_another_incarnation_at_the_same_address(tmp_path: Path) -> None:
    seen = []
    for emptied in (False, True):
        if emptied:
            shutil.rmtree(tmp_path / FOLDER / "logs")
        made = LocalBroker(KafkaSettings(brokers="local"), tmp_path)
        await made.start()
        seen.append((made.address, made.incarnation))
        await made.stop()
    assert seen[0][0] == seen[1][0]
    assert seen[0][1] != seen[1][1]


PARENT = """
import asyncio, sys
sys.path.insert(0, {root!r})
from pathlib import Path
from bus.brokers.local import LocalBroker
from bus.settings import KafkaSettings
from runtime.logs import LogSettings, configure_logs
configure_logs(LogSettings(level="error"))
async def main():
    broker = LocalBroker(KafkaSettings(brokers="local"), Path({data!r}))
    await broker.start()
    print(broker.pid, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


async def test_it_dies_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    code = PARENT.format(root=os.getcwd(), data=str(tmp_path))
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    try:
        pid = int(await asyncio.to_thread(parent.stdout.readline))
        assert alive(pid)
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()
    assert await gone([pid])


class Shop:
    """A store with a relay on some broker, and the lives of that broker."""

    def __init__(self, database: Database, broker: LocalBroker | ExternalBroker, folder: Path) -> None:
        clock = SystemClock()
        self.database = database
        out = Outbox(lambda key: partition_for(key, 6))
        self.intake = Intake(database, Blobs(folder / "blobs"), out)
        self.lives = BrokerLives(broker, database, clock, durable=False, examines=True)
        self.outbox = RelayOutbox(database, clock, shards=6, durable=False, forgot=self.lives.forgot)
        self.broker = broker

    async def accept(self, *numbers: int) -> None:
        for n in numbers:
            contact = email(f"m{n}@example.org")
            await self.intake.accept(Arrival(contact=contact, raw=b"x", media_type="message/rfc822"), NOW)

    def relay(self) -> Relay:
        made = Relay(
            self.outbox,
            lambda address: KafkaSink(address, embedded=False, send_timeout_s=5.0),
            self.broker.address,
            self.lives.incarnation,
            owner="r",
            metrics=Metrics(),
        )
        self.lives.on_life(made.reconnect)
        return made

    async def published(self) -> set[str]:
        """Event ids that this life has confirmed."""
        query = select(outbox_table.c.event_id).where(outbox_table.c.incarnation == self.lives.incarnation)
        return set(await self.database.read(lambda conn: conn.scalars(query).all()))

    async def until_published(self, count: int) -> None:
        async with asyncio.timeout(60):
            while len(await self.published()) < count:
                await asyncio.sleep(0.05)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database.at("sqlite:///shop.db", tmp_path)
    async with database:
        await upgrade(database)
        await database.write(lambda conn: policies.activate(conn, "p", b"{}", NOW))
        yield database


@pytest.fixture
async def shop(store: Database, broker: LocalBroker, tmp_path: Path) -> Shop:
    return Shop(store, broker, tmp_path)


@pytest.fixture
async def elsewhere(store: Database, kafka_server: str, tmp_path: Path) -> Shop:
    """On a broker that lives on after the test."""
    external = ExternalBroker(kafka_server)
    await external.start()
    return Shop(store, external, tmp_path)


async def records(address: str, group: str, count: int) -> list[str]:
    """The first `count` event ids that a member of `group` reads."""
    source = KafkaSource(address, group, [INTERACTIONS], embedded=False)
    await source.start()
    found: list[str] = []
    async with asyncio.timeout(40):
        while len(found) < count:
            batch = await source.read(100, 0.5)
            found += [dict(record.headers)["ce_id"].decode() for record in batch]
            await source.commit(batch)
    await source.close()
    return found


async def test_what_a_local_broker_has_lost_is_published_again_and_read_from_the_beginning(
    shop: Shop, broker: LocalBroker, tmp_path: Path
) -> None:
    await shop.lives.start()
    relay = shop.relay()
    await relay.start()
    first = shop.lives.incarnation
    await shop.accept(*range(20))
    await shop.until_published(20)
    assert len(set(await records(broker.address, shop.lives.group("g"), 20))) == 20
    await killed(broker)
    truncate(tmp_path)
    await back(broker)
    async with asyncio.timeout(30):
        while shop.lives.incarnation == first:  # looked at when it came back, not when somebody writes
            await asyncio.sleep(0.05)
    assert shop.lives.incarnation == f"{first}#2"
    await shop.until_published(20)
    assert shop.lives.group("g") == "g.2", "the old group has committed what is not there any more"
    assert len(set(await records(broker.address, shop.lives.group("g"), 20))) == 20
    await relay.stop()
    await shop.lives.stop()


async def test_a_process_that_starts_afterwards_lives_in_the_same_life(elsewhere: Shop) -> None:
    shop = elsewhere
    await shop.lives.start()
    await shop.lives.forgot(shop.lives.incarnation)
    await shop.lives.forgot("an old one")
    other = BrokerLives(shop.broker, shop.database, SystemClock(), durable=False, examines=False)
    await other.start()
    assert other.incarnation == shop.lives.incarnation
    assert other.group("g") == "g.2"
    heard = asyncio.Event()

    async def hear(_address: str, incarnation: str) -> None:
        assert incarnation.endswith("#3")
        heard.set()

    other.on_life(hear)
    await shop.lives.forgot(shop.lives.incarnation)
    await asyncio.wait_for(heard.wait(), 10)
    await other.stop()
    await shop.lives.stop()


async def test_a_log_that_somebody_elses_broker_has_lost_shows_at_the_next_record(
    shop: Shop, broker: LocalBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody says that it was away, and the next look at its log is far."""
    monkeypatch.setattr(lives_, "EXAMINE_S", 600.0)
    external = ExternalBroker(broker.address)
    await external.start()
    shop = Shop(shop.database, external, tmp_path)
    await shop.lives.start()
    relay = shop.relay()
    await relay.start()
    first = shop.lives.incarnation
    await shop.accept(*range(30))
    await shop.until_published(30)
    await killed(broker)
    truncate(tmp_path)
    await back(broker)
    await asyncio.sleep(0.5)
    assert shop.lives.incarnation == first
    await shop.accept(30)
    async with asyncio.timeout(60):
        while shop.lives.incarnation == first:
            await asyncio.sleep(0.05)
    await shop.until_published(31)
    assert len(set(await records(broker.address, shop.lives.group("g"), 32))) == 31
    await relay.stop()
    await shop.lives.stop()


async def test_a_confirmation_below_what_was_confirmed_begins_a_new_life(elsewhere: Shop) -> None:
    shop = elsewhere
    await shop.lives.start()
    await shop.accept(1, 2)
    incarnation = shop.lives.incarnation
    shards = await shop.outbox.lease("r", None, 60.0)
    one, two = await shop.outbox.pending(shards, incarnation, 10)
    two = replace(two, shard=one.shard)
    await shop.outbox.confirmed(shards, incarnation, [(one, 0, 7)])
    await shop.outbox.confirmed(shards, incarnation, [(one, 0, 7)])
    assert shop.lives.incarnation == incarnation, "a repeated confirmation is no loss"
    with pytest.raises(LogRolledBack):
        await shop.outbox.confirmed(shards, incarnation, [(two, 0, 7)])
    assert shop.lives.incarnation == f"{incarnation}#2"
    assert await shop.database.read(lambda conn: lives.current(conn, incarnation)) == 2
    await shop.lives.stop()


async def test_the_whole_system_survives_a_broker_that_lost_its_log(tmp_path: Path) -> None:
    async with running(tmp_path / "site", brokers="local") as site:
        broker, router = site.house.broker, site.house.router
        assert isinstance(broker, LocalBroker)
        assert router is not None
        assert router.pid is not None
        os.kill(router.pid, signal.SIGSTOP)  # so that nothing is decided before the log is lost
        async with aiohttp.ClientSession() as session:
            for n in range(12):
                form = {"message": f"A question, number {n}"}
                async with session.post(f"{site.stage.http}/forms/contact", json=form) as response:
                    assert response.status == 201
        async with asyncio.timeout(30):
            while await site.database.read(outbox.backlog):
                await asyncio.sleep(0.05)
        await killed(broker)
        truncate(tmp_path / "site" / "data")
        if router.pid is not None:
            os.kill(router.pid, signal.SIGCONT)

        async def left() -> int:
            states = (await site.database.read(ledger.balance)).total.states
            return states.get(InteractionState.RECEIVED.value, 0)

        async with asyncio.timeout(90):
            while await left():
                await asyncio.sleep(0.1)
        assert site.house.lives.incarnation.endswith("#2")
        assert (await site.database.read(ledger.balance)).balanced
