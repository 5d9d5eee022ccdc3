"""The outbox's own promises: its order, what is done stays done, and a log that lost its end is noticed."""

from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.engine import Connection

from schemas.outbox import OutboxRow
from schemas.reply import Reply
from schemas.states import DeliveryState
from store import attempts, deliveries, leases, outbox
from store.database import Database
from store.outbox import Outbox
from store.relay_outbox import LogRolledBack, RelayOutbox
from store.sql import News
from store.tables import leases as leases_table
from store.tables import outbox as outbox_table
from tests.kit.clock import ManualClock
from tests.kit.contacts import NOW
from tests.kit.events import examples

OUT = Outbox(lambda key: sum(key.encode()) % 6)
SHARDS = dict.fromkeys(range(6), 1)
LATER = NOW + timedelta(minutes=1)


def reply(number: int, conversation: str = "c") -> Reply:
    made = examples()["reply"]
    assert isinstance(made, Reply)
    return made.model_copy(update={"id": f"{conversation}:reply:{number}", "conversation_id": conversation})


async def written(database: Database, *events: Reply) -> list[OutboxRow]:
    """In the outbox, whose shards are ours."""

    def work(conn: Connection) -> list[OutboxRow]:
        leases.acquire(conn, [f"outbox:{shard}" for shard in SHARDS], "r", NOW, LATER)
        OUT.put_many(conn, events, new=True)
        return outbox.pending(conn, list(SHARDS), "b", 100)

    return await database.write(work)


async def confirm(database: Database, *places: tuple[OutboxRow, int, int], durable: bool = False) -> bool:
    return await database.write(lambda conn: outbox.confirm(conn, SHARDS, "b", places, durable=durable))


async def pending(database: Database, incarnation: str, limit: int = 100) -> list[OutboxRow]:
    return await database.read(lambda conn: outbox.pending(conn, list(SHARDS), incarnation, limit))


async def test_what_is_pending_comes_in_order_and_the_first_come_first(database: Database) -> None:
    events = [reply(n, f"c{n % 7}") for n in range(20)]
    await written(database, *events)
    assert [row.event_id for row in await pending(database, "b")] == [event.id for event in events]
    assert [row.event_id for row in await pending(database, "b", 5)] == [event.id for event in events[:5]]
    # PostgreSQL puts a row that was changed behind the others.
    assert await confirm(database, *((row, row.shard, n) for n, row in enumerate(await pending(database, "b", 3))))
    assert [row.event_id for row in await pending(database, "b2")] == [event.id for event in events]


@pytest.mark.parametrize("durable", [False, True])
async def test_a_confirmation_does_not_undo_what_is_done(database: Database, durable: bool) -> None:
    """An effect may be in the store before the relay has written down that the broker took its event."""
    (row,) = await written(database, reply(1))
    await database.write(lambda conn: outbox.done(conn, [row.event_id]))
    assert await confirm(database, (row, 0, 3), durable=durable)
    assert await database.read(lambda conn: conn.scalar(select(outbox_table.c.done)))
    assert await pending(database, "b2") == []


async def test_what_a_broker_that_may_forget_has_confirmed_is_not_done(database: Database) -> None:
    (row,) = await written(database, reply(1))
    assert await confirm(database, (row, 0, 3))
    assert await pending(database, "b") == []
    assert await pending(database, "b2") == [row]


class TestLog:
    """A broker that may forget gives an offset twice: what it had there is lost."""

    async def test_an_offset_that_was_given_before_is_noted_nowhere(self, database: Database) -> None:
        first, second, third = await written(database, *(reply(n) for n in range(3)))
        assert await confirm(database, (first, 0, 5))
        for offset in (5, 4):
            assert not await confirm(database, (third, 1, 0), (second, 0, offset))
        assert await pending(database, "b") == [second, third]
        assert await confirm(database, (second, 0, 6), (third, 1, 0))
        assert await database.read(lambda conn: outbox.highest_offsets(conn, "b")) == {
            ("replies", 0): 6,
            ("replies", 1): 0,
        }

    async def test_the_same_confirmation_once_more_is_no_loss(self, database: Database) -> None:
        """A transaction is done again when nobody knows whether its commit went through."""
        first, second = await written(database, reply(1), reply(2))
        for _ in range(2):
            assert await confirm(database, (first, 0, 5), (second, 0, 6))

    async def test_another_life_counts_anew_and_a_durable_broker_is_believed(self, database: Database) -> None:
        first, second = await written(database, reply(1), reply(2))
        assert await confirm(database, (first, 0, 5))
        anew = [(first, 0, 0)]
        assert await database.write(lambda conn: outbox.confirm(conn, SHARDS, "b2", anew, durable=False))
        assert await confirm(database, (second, 0, 0), durable=True)

    async def test_the_relay_hears_that_the_log_has_lost_its_end(self, database: Database) -> None:
        forgotten: list[str] = []

        async def forgot(incarnation: str) -> None:
            forgotten.append(incarnation)

        first, second = await written(database, reply(1), reply(2))
        relay = RelayOutbox(database, ManualClock(NOW), shards=6, durable=False, forgot=forgot)
        await relay.confirmed(SHARDS, "b", [(first, 0, 5)])
        with pytest.raises(LogRolledBack, match="ends below"):
            await relay.confirmed(SHARDS, "b", [(second, 0, 5)])
        assert forgotten == ["b"]


async def test_a_lease_that_another_has_taken_is_not_renewed(database: Database) -> None:
    def work(conn: Connection) -> tuple[bool, tuple[str, bool], bool]:
        leases.acquire(conn, ["x"], "theirs", NOW, LATER)
        not_mine = leases.renew(conn, "x", "mine", LATER + timedelta(hours=1))
        row = conn.execute(select(leases_table.c.owner, leases_table.c.until)).one()
        return not_mine, (row.owner, row.until == LATER), leases.renew(conn, "x", "theirs", LATER)

    assert await database.write(work) == (False, ("theirs", True), True)


async def test_a_delivery_that_is_new_and_one_that_has_ended_are_news(database: Database) -> None:
    """A sender looks when it is told of deliveries; untold, each would wait for its next look."""
    heard: list[News] = []
    database.on_commit(lambda: heard.append("deliveries"), "deliveries")
    made = reply(1)
    to = made.recipient.address

    def begin(conn: Connection) -> bool:
        deliveries.arrive(conn, "sender", NOW, LATER)
        return deliveries.begin(conn, made.id, to, owner="sender", provider_id="x@shop", now=NOW)

    assert await database.write(lambda conn: deliveries.copy_in(conn, [made], NOW)) >= 1
    assert heard, "something may be sent"
    assert await database.write(begin)
    heard.clear()
    end = attempts.End(made.id, to, DeliveryState.SENT, [DeliveryState.ATTEMPTING], owner="sender")
    assert await database.write(lambda conn: attempts.finish_all(conn, OUT, [end], NOW)) == [True]
    assert heard, "the next one to the same recipient may go"
