"""Every role as processes of its own, two of each, on PostgreSQL and Apache Kafka: one is killed, one stands still;
and all of them started before what they need."""

import asyncio
from pathlib import Path

import aiohttp
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from sqlalchemy import func, select

from bus import admin
from bus.brokers.probe import free_port
from bus.topics import TOPICS
from runtime.clock import SystemClock
from schemas.states import DeliveryState
from store import deliveries
from store.tables import leases
from switchboard.demo.cast import cast
from tests.conftest import need
from tests.kit import kafka, postgres
from tests.kit.fleet import Member, Site, fleet
from tests.kit.proxy import Proxy
from tests.kit.rush import finished, load, until, written

pytestmark = [pytest.mark.acceptance, pytest.mark.kafka, pytest.mark.postgres, pytest.mark.timeout(420)]

KILLED = ((0.3, ("relay-1", "router-1", "senders-1")), (0.7, ("applier-1", "channels-1", "desk-1")))
PAUSED = ("relay-2", "senders-2", "applier-2")


async def test_two_of_everything_lose_nothing_and_answer_nobody_twice(tmp_path: Path) -> None:
    need(kafka.can_run(), "Java 17 and Maven")
    need(postgres.binaries(), postgres.WHAT)
    async with fleet(tmp_path) as site:
        await each_says_how_it_is(site)
        await relays_share_the_shards(site)
        people = cast()
        async with load(site.towns, people, site.token, desk=site.desk):
            for share, victims in KILLED:
                await written(site.town, people, share, timeout=120)
                for name in victims:
                    site.members[name].kill()
                await asyncio.gather(*(site.members[name].start() for name in victims))
            for name in PAUSED:
                site.members[name].pause()
            await taken_for_gone(site)
            for name in PAUSED:
                site.members[name].resume()
            await finished(site.database, site.town, people, timeout=180)
        rows = await site.database.read(lambda conn: deliveries.listing(conn, None, 1000))
        # An unknown outcome was not tried again, whether the mail had arrived or not.
        assert all(row.attempt == 1 for row in rows if row.state is DeliveryState.UNKNOWN)
        arrived = {mail["Message-ID"].strip("<>") for mails in site.mail.mailboxes.values() for mail in mails}
        assert {r.provider_id for r in rows if r.channel == "email" and r.state is DeliveryState.SENT} <= arrived
        codes = await asyncio.gather(*(member.stop() for member in site.members.values()))
        assert set(codes) == {0}, {m.name: m.tail(600) for m in site.members.values()}
        held = select(leases.c.name).where(leases.c.until > SystemClock().now())
        assert await site.database.read(lambda conn: conn.scalars(held).all()) == [], "who goes in order leaves none"


async def each_says_how_it_is(site: Site) -> None:
    async with aiohttp.ClientSession() as session:
        for member in site.members.values():
            for page in ("healthz", "metrics"):
                async with session.get(f"{member.http}/{page}") as response:
                    assert response.status == 200, (member.name, page)
            async with session.get(f"{member.http}/readyz") as response:
                parts = set((await response.json())["parts"])
            assert parts >= set(member.roles) & {"relay", "router", "applier", "senders"}


async def relays_share_the_shards(site: Site) -> None:
    query = select(leases.c.owner, func.count()).where(leases.c.name.startswith("outbox:")).group_by(leases.c.owner)

    async def shards() -> dict[str, int]:
        return {owner: count for owner, count in await site.database.read(lambda conn: conn.execute(query).all())}

    async def shared() -> bool:
        return sorted((await shards()).values()) == [3, 3]

    await until(shared, 30, shards)


async def taken_for_gone(site: Site) -> None:
    """Until the senders that stand still have lost their lease."""

    async def there() -> int:
        owners = select(func.count()).where(leases.c.name.startswith("sender:"))
        return await site.database.read(lambda conn: conn.scalar(owners)) or 0

    async def gone() -> bool:
        return await there() == 1

    await until(gone, 60, there)


EARLY = {
    "core": ["relay", "router", "applier", "senders"],
    "spare": ["relay"],
    "edge": ["channels"],
    "desk": ["agents", "ops"],
}


async def test_processes_that_start_before_store_and_broker_wait_for_them(tmp_path: Path) -> None:
    """They ended at once, so that containers had to be started in the right order."""
    need(kafka.can_run(), "Java 17 and Maven")
    need(postgres.binaries(), postgres.WHAT)
    store, broker = free_port(), free_port()
    environment = {
        "SWITCHBOARD_STORE__URL": f"postgresql://sb:hush-hush@127.0.0.1:{store}/postgres",
        "SWITCHBOARD_KAFKA__BROKERS": f"127.0.0.1:{broker}",
    }
    async with fleet(tmp_path, members=EARLY, environment=environment, started=False) as site:
        await no_topics(site)
        core, spare, edge, desk = site.members.values()
        for member in site.members.values():
            member.launch()
        for member in site.members.values():
            await until_it_waits_for("store", member)
        assert f"postgresql://127.0.0.1:{store}/postgres" in core.tail()
        assert "hush-hush" not in core.tail(100_000)
        async with Proxy(site.server.port, port=store):
            await asyncio.gather(edge.ready(), desk.ready())
            assert await smtp_greets(edge)
            for member in (core, spare):
                await until_it_waits_for("broker", member)
                assert f"Kafka at 127.0.0.1:{broker}" in member.tail()
            assert await spare.stop(10) == 0, spare.tail()
            async with Proxy(int(site.broker.address.rpartition(":")[2]), port=broker):
                # Whoever read from a topic that was made later heard of it a minute later, when the watchdog ended him.
                await until_it_says("does not have the topics", core)
                await admin.apply(site.broker.address, TOPICS, 6, 1)
                await core.ready()
                codes = await asyncio.gather(*(member.stop() for member in (core, edge, desk)))
        assert codes == [0, 0, 0], {m.name: m.tail(600) for m in site.members.values()}


async def until_it_waits_for(what: str, member: Member) -> None:
    """It lives, says that it is not ready and why, and serves nothing else."""
    found: dict[str, object] = {}

    async def said() -> dict[str, object]:
        return found

    async def waits() -> bool:
        assert member.is_alive, member.tail()
        try:
            async with (
                aiohttp.ClientSession(member.http, timeout=aiohttp.ClientTimeout(total=5)) as session,
                session.get("/healthz") as alive,
                session.get("/readyz") as ready,
                session.get("/") as page,
            ):
                found.update(await ready.json(), status=ready.status)
        except (aiohttp.ClientError, TimeoutError):
            return False
        return found["status"] == page.status == 503 and alive.status == 200 and found.get("waits_for") == what

    await until(waits, 60, said)


async def no_topics(site: Site) -> None:
    client = AIOKafkaAdminClient(bootstrap_servers=site.broker.address)
    await client.start()
    try:
        await client.delete_topics([topic.name for topic in TOPICS])
        async with asyncio.timeout(30):
            while await client.list_topics():
                await asyncio.sleep(0.05)
    finally:
        await client.close()


async def until_it_says(words: str, member: Member) -> None:
    async def said() -> bool:
        return words in member.tail()

    async def tail() -> str:
        return member.tail()

    await until(said, 60, tail)


async def smtp_greets(member: Member) -> bool:
    """Who is ready has every door open."""
    async with asyncio.timeout(5):
        reader, writer = await asyncio.open_connection("127.0.0.1", member.smtp_port)
        greeting = await reader.readline()
        writer.close()
    return greeting.startswith(b"220")
