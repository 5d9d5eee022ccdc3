"""What several processes on one store may rely on: leases, epochs, one migration, one active policy, wake-ups."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.engine import Connection

from bus.topics import partition_for
from schemas.errors import StoreUnavailable
from schemas.interaction import Interaction
from store import leases, ledger, outbox, policies, work_items
from store.blobs import Blobs
from store.database import Database
from store.enqueue import Enqueuer
from store.intake import Arrival, Intake
from store.outbox import Outbox
from store.relay_outbox import RelayOutbox
from store.schema import current, head, upgrade
from store.sql import news
from store.tables import leases as leases_table
from store.tables import policies as policies_table
from tests.conftest import need
from tests.kit import postgres
from tests.kit.clock import ManualClock
from tests.kit.contacts import NOW, email

TTL = timedelta(seconds=10)
SHARDS = [f"outbox:{n}" for n in range(6)]


async def accept(database: Database, folder: Path, number: int = 1) -> None:
    await database.write(lambda conn: policies.activate(conn, "p", b"{}", NOW))
    intake = Intake(database, Blobs(folder / "blobs"), Outbox(lambda key: partition_for(key, 6)))
    arrival = Arrival(contact=email(f"m{number}@example.org"), raw=b"x", media_type="message/rfc822")
    await intake.accept(arrival, NOW)


class TestShares:
    async def take(self, database: Database, owner: str, now: object, most: int | None = None) -> dict[str, int]:
        return await database.write(
            lambda conn: leases.share(conn, SHARDS, owner, now, now + TTL, members="relay:", most=most)  # type: ignore[operator, arg-type]
        )

    async def test_the_first_has_all_and_gives_half_of_it_to_the_second(self, database: Database) -> None:
        assert len(await self.take(database, "a", NOW)) == 6
        assert await self.take(database, "b", NOW) == {}, "they are not free yet"
        kept = await self.take(database, "a", NOW)
        assert len(kept) == 3
        got = await self.take(database, "b", NOW)
        assert len(got) == 3
        assert set(kept) | set(got) == set(SHARDS)
        assert set(got.values()) == {2}, "a new owner, a new epoch"
        assert set(kept.values()) == {1}

    @pytest.mark.parametrize("relays", [4, 7])
    async def test_more_relays_than_there_are_shards_for_leave_none_unserved(
        self, database: Database, relays: int
    ) -> None:
        for _ in range(3):
            found = [await self.take(database, f"r{n}", NOW) for n in range(relays)]
        assert sorted(name for held in found for name in held) == SHARDS
        assert max(len(held) for held in found) == -(-6 // relays)

    async def test_a_dead_relays_shards_are_taken_over_when_its_lease_has_run_out(self, database: Database) -> None:
        for _ in range(2):
            await self.take(database, "dead", NOW)
            await self.take(database, "b", NOW)
        assert len(await self.take(database, "b", NOW + TTL / 2)) == 3
        taken = await self.take(database, "b", NOW + TTL)
        assert set(taken) == set(SHARDS)
        assert sorted(taken.values()) == [1, 1, 1, 2, 2, 2] or sorted(taken.values()) == [2, 2, 2, 2, 2, 2]

    async def test_at_most_so_many(self, database: Database) -> None:
        assert len(await self.take(database, "a", NOW, most=2)) == 2

    async def test_those_who_are_gone_leave_no_rows_behind(self, database: Database) -> None:
        for n in range(5):
            await self.take(database, f"r{n}", NOW + n * TTL)
        count = select(func.count()).where(leases_table.c.name.startswith("relay:"))
        assert await database.read(lambda conn: conn.scalar(count)) == 1


async def test_a_relay_that_stood_still_confirms_nothing_after_its_shard_was_taken_over(
    database: Database, tmp_path: Path
) -> None:
    await accept(database, tmp_path)
    clock = ManualClock(NOW)
    paused = RelayOutbox(database, clock, shards=6, durable=True)
    other = RelayOutbox(database, clock, shards=6, durable=True)
    held = await paused.lease("paused", None, 10.0)
    [row] = await paused.pending(held, "b1", 10)
    clock.advance(11)
    if database.is_sqlite:
        other._leased_before = True  # an SQLite store has one process, which would take everything at once anyway
    taken = await other.lease("other", None, 10.0)
    assert taken[row.shard] == held[row.shard] + 1
    await paused.confirmed(held, "b1", [(row, 0, 5)])
    await paused.refused(held, row, "too large")
    assert [r.event_id for r in await other.pending(taken, "b1", 10)] == [row.event_id]
    await other.confirmed(taken, "b1", [(row, 0, 6)])
    assert await other.pending(taken, "b1", 10) == []


async def test_after_a_kill_the_only_process_has_its_shards_back_at_once(tmp_path: Path) -> None:
    async with Database.at("sqlite:///x.db", tmp_path) as database:
        await upgrade(database)
        for owner in ("killed", "its successor"):
            assert (
                len(await RelayOutbox(database, ManualClock(NOW), shards=6, durable=True).lease(owner, None, 10)) == 6
            )


class TestPolicies:
    async def test_a_process_with_an_old_configuration_does_not_undo_a_new_one(self, database: Database) -> None:
        assert await database.write(lambda conn: policies.introduce(conn, "old", b"1", NOW)) == "old"
        assert await database.write(lambda conn: policies.introduce(conn, "new", b"2", NOW)) == "new"
        assert await database.write(lambda conn: policies.introduce(conn, "old", b"1", NOW)) == "new"
        await database.write(lambda conn: policies.activate(conn, "old", b"1", NOW))
        assert await database.read(policies.active_version) == "old", "who says so plainly gets it"

    async def test_one_is_active_however_many_start_together(self, database: Database) -> None:
        await asyncio.gather(
            *(
                database.write(lambda conn, n=n: policies.introduce(conn, f"v{n % 3}", b"x", NOW))  # type: ignore[misc]
                for n in range(9)
            )
        )
        count = select(func.count()).where(policies_table.c.active)
        assert await database.read(lambda conn: conn.scalar(count)) == 1


async def test_several_desks_put_a_silent_agents_work_back_once(database: Database, tmp_path: Path) -> None:
    out = Outbox(lambda key: partition_for(key, 6))
    await database.write(lambda conn: policies.activate(conn, "p", b"{}", NOW))
    intake = Intake(database, Blobs(tmp_path / "blobs"), out)
    for n in range(5):
        got = await intake.accept(Arrival(contact=email(f"m{n}@x"), raw=b"x", media_type="text/plain"), NOW)
        found = (await database.read(lambda conn, i=got.interaction_id: ledger.load(conn, [i])))[got.interaction_id]  # type: ignore[misc]

        def enqueue(conn: Connection, interaction: Interaction = found) -> None:
            line = Enqueuer(conn, [interaction.conversation_id], NOW)
            line.enqueue(interaction, queue="q", tier="P3", deadline=NOW)
            line.flush(out)

        await database.write(enqueue)
        await database.write(lambda conn: work_items.claim(conn, out, "ada", queues=(), now=NOW, until=NOW + TTL))
    late = NOW + 2 * TTL
    swept = await asyncio.gather(
        *(database.write(lambda conn: work_items.expire_leases(conn, out, late)) for _ in range(4))
    )
    back = [item.id for items in swept for item in items]
    assert len(back) == len(set(back)) == 5
    assert len(await database.read(lambda conn: work_items.line(conn, (), 10))) == 5


@pytest.mark.postgres
class TestPostgres:
    @pytest.fixture
    async def databases(self, postgres_url: str, tmp_path: Path) -> AsyncIterator[tuple[Database, Database]]:
        """Two processes' views of one empty database."""
        async with Database.at(postgres_url, tmp_path) as one, Database.at(postgres_url, tmp_path) as two:
            await one.write(lambda conn: conn.exec_driver_sql("DROP SCHEMA public CASCADE"))
            await one.write(lambda conn: conn.exec_driver_sql("CREATE SCHEMA public"))
            yield one, two

    async def test_processes_that_start_together_migrate_once(self, databases: tuple[Database, Database]) -> None:
        outcomes = await asyncio.gather(*(upgrade(db) for db in databases * 2))
        assert sorted(before or "" for before, _ in outcomes) == ["", head(), head(), head()]
        assert await databases[0].read(current) == head()

    async def test_what_one_commits_wakes_the_other(self, databases: tuple[Database, Database], tmp_path: Path) -> None:
        one, two = databases
        await upgrade(one)
        woken, own = asyncio.Event(), []
        async with asyncio.timeout(20):
            # Listening begins a moment after the start; until then polling has to do.
            while not woken.is_set():
                two.on_commit(woken.set)
                await accept(one, tmp_path, number=len(own))
                own.append(1)
                try:
                    async with asyncio.timeout(0.3):
                        await woken.wait()
                except TimeoutError:
                    continue

    async def test_only_what_concerns_it_wakes_the_other(
        self, databases: tuple[Database, Database], tmp_path: Path
    ) -> None:
        one, two = databases
        await upgrade(one)
        heard: list[str] = []
        for what in ("outbox", "deliveries"):
            two.on_commit(lambda what=what: heard.append(what), what)  # type: ignore[arg-type, misc]
        async with asyncio.timeout(20):
            while "outbox" not in heard:  # until it listens
                await accept(one, tmp_path, number=len(heard))
                await asyncio.sleep(0.1)
            await asyncio.sleep(0.2)  # whatever may have been missed before is told of once, as both
            heard.clear()
            await one.write(lambda conn: news(conn, "deliveries"))
            while not heard:
                await asyncio.sleep(0.01)
        assert set(heard) == {"deliveries"}

    async def test_a_deadlock_is_done_again_by_itself(self, databases: tuple[Database, Database]) -> None:
        one, two = databases
        await upgrade(one)
        await one.write(lambda conn: leases.acquire(conn, ["a", "b"], "x", NOW, NOW))
        lock = text("UPDATE leases SET epoch = epoch + 1 WHERE name = :name")

        def work(first: str, second: str):  # type: ignore[no-untyped-def]
            def both(conn):  # type: ignore[no-untyped-def]
                conn.execute(lock, {"name": first})
                conn.execute(text("SELECT pg_sleep(0.2)"))
                conn.execute(lock, {"name": second})

            return both

        await asyncio.gather(one.write(work("a", "b")), two.write(work("b", "a")))
        epochs = await one.read(lambda conn: conn.scalars(select(leases_table.c.epoch)).all())
        assert epochs == [3, 3]


@pytest.mark.postgres
@pytest.mark.acceptance
class TestServerAway:
    @pytest.fixture
    async def server(self) -> AsyncIterator[postgres.Server]:
        found = postgres.binaries()
        need(found, postgres.WHAT)
        assert found is not None
        made = await asyncio.to_thread(postgres.Server, found)
        try:
            await asyncio.to_thread(made.start)
            yield made
        finally:
            await asyncio.to_thread(made.clear)

    async def test_killed_and_started_again_it_is_unavailable_meanwhile_and_nothing_else(
        self, server: postgres.Server, tmp_path: Path
    ) -> None:
        async with Database.at(server.url, tmp_path) as database:
            await upgrade(database)
            await accept(database, tmp_path, 1)
            await asyncio.gather(*(database.read(outbox.backlog) for _ in range(8)))  # a pool full of connections
            server.kill()
            outcomes = await asyncio.gather(
                *(accept(database, tmp_path, n) for n in range(2, 6)),
                *(database.read(outbox.backlog) for _ in range(4)),
                return_exceptions=True,
            )
            assert {type(outcome) for outcome in outcomes} == {StoreUnavailable}, outcomes
            starting = asyncio.create_task(asyncio.to_thread(server.start))
            while not starting.done():
                try:
                    await database.read(outbox.backlog)
                except StoreUnavailable:
                    await asyncio.sleep(0.01)
            await starting
            await asyncio.gather(*(accept(database, tmp_path, n) for n in range(2, 10)))
            assert await database.read(outbox.backlog) == 9

    async def test_connections_that_a_restart_has_cut_are_no_trouble(
        self, server: postgres.Server, tmp_path: Path
    ) -> None:
        async with Database.at(server.url, tmp_path) as database:
            await upgrade(database)
            await asyncio.gather(*(database.read(outbox.backlog) for _ in range(8)))
            server.kill()
            await asyncio.to_thread(server.start)
            await accept(database, tmp_path, 1)
            assert await database.read(outbox.backlog) == 1
