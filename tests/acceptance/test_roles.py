"""Every role as processes of its own, two of each, on PostgreSQL and Apache Kafka: one is killed, one stands still."""

import asyncio
from pathlib import Path

import aiohttp
import pytest
from sqlalchemy import func, select

from runtime.clock import SystemClock
from schemas.states import DeliveryState
from store import deliveries
from store.tables import leases
from switchboard.demo.cast import cast
from tests.conftest import need
from tests.kit import kafka, postgres
from tests.kit.fleet import Site, fleet
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
