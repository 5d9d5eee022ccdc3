"""What /metrics says about the store, on every database."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy.engine import Connection

from ops import figures
from ops.figures import EVERY_S, Figures
from ops.port import Context
from runtime.metrics import Metrics
from schemas.errors import StoreUnavailable
from store.blobs import Blobs
from store.database import Database
from store.intake import Intake
from store.outbox import Outbox
from store.schema import upgrade
from store.store import Store
from store.tables import dead_letters, deliveries, interactions, outbox, work_items
from tests.kit.clock import ManualClock
from tests.kit.contacts import NOW
from tests.kit.plans import watched

T = TypeVar("T")
OLD = NOW - timedelta(minutes=5)


def item(name: str, queue: str, state: str, enqueued_at: Any = NOW) -> dict[str, Any]:
    same = dict.fromkeys(("channel", "account", "customer_id", "reference"), "x")
    times = {"deadline": NOW, "enqueued_at": enqueued_at, "changed_at": NOW}
    return {
        "id": name,
        "conversation_id": name,
        "version": 1,
        "queue": queue,
        "tier": "P3",
        "state": state,
        **same,
        **times,
    }


def delivery(name: str, channel: str, state: str) -> dict[str, Any]:
    same = {"conversation_id": "c", "account": "a", "recipient": "r"}
    return {
        "reply_id": name,
        "channel": channel,
        "state": state,
        **same,
        "due_at": NOW,
        "created_at": NOW,
        "changed_at": NOW,
    }


def event(number: int, topic: str, **more: Any) -> dict[str, Any]:
    return {
        "event_id": f"e{number}",
        "topic": topic,
        "key": "k",
        "shard": 0,
        "position": number,
        "headers": [],
        "value": b"",
        **more,
    }


ITEMS = [
    item("1", "support", "queued", OLD),
    item("2", "support", "queued"),
    item("3", "support", "assigned", OLD - timedelta(days=1)),
    item("4", "billing", "reserved"),
    item("5", "support", "completed", OLD - timedelta(days=9)),
]
DELIVERIES = [
    delivery("1", "email", "pending"),
    delivery("2", "email", "deferred"),
    delivery("3", "email", "deferred"),
    delivery("4", "chat", "unknown"),
    delivery("5", "email", "sent"),
]
EVENTS = [
    event(1, "interactions"),
    event(2, "interactions"),
    event(3, "replies"),
    event(4, "replies", incarnation="external:x"),
    event(5, "replies", done=True),
]


class Desk:
    """The figures of a store, as a page shows them."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.clock, self.metrics = ManualClock(NOW), Metrics()
        blobs, out = Blobs(folder), Outbox(lambda _: 0)

        async def check(_token: str) -> None:
            return None

        self.figures = Figures(
            Context(
                store=Store(database, blobs, out, Intake(database, blobs, out)),
                clock=self.clock,
                metrics=self.metrics,
                check=check,
                queues=("support", "returns"),
            )
        )

    async def page(self) -> dict[str, dict[tuple[str, ...], float]]:
        """Metric → values of its labels → number."""
        found: dict[str, dict[tuple[str, ...], float]] = {}
        for family in text_string_to_metric_families((await self.metrics.page()).decode()):
            for sample in family.samples:
                found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
        return found


@pytest.fixture
async def desk(database: Database, tmp_path: Path) -> Any:
    def fill(conn: Connection) -> None:
        for table, rows in ((work_items, ITEMS), (deliveries, DELIVERIES)):
            conn.execute(table.insert(), rows)
        for row in EVENTS:
            conn.execute(outbox.insert(), row)
        for number, state in enumerate(("open", "replayed")):
            letter = {"id": str(number), "state": state, "reason": "invalid", "place": {}, "headers": [], "at": NOW}
            conn.execute(dead_letters.insert(), {**letter, "conversation_id": "c", "media_type": "x"})
        for number, state in enumerate(("held", "queued")):
            times = {"received_at": NOW, "accepted_at": NOW, "changed_at": NOW}
            rest = {"conversation_id": "c", "channel": "email", "account": "a", "customer_id": "u", **times}
            conn.execute(interactions.insert(), {"id": str(number), "seq": number, "state": state, **rest})

    await database.write(fill)
    found = Desk(database, tmp_path)
    await found.figures.start()
    yield found
    await found.figures.stop()


async def test_the_page_says_what_waits_how_long_and_what_has_not_gone_out(desk: Desk) -> None:
    page = await desk.page()
    assert page["switchboard_work_items"] == {
        **{
            (queue, state): 0
            for queue in ("support", "billing", "returns")
            for state in ("queued", "reserved", "assigned")
        },
        ("support", "queued"): 2,
        ("support", "assigned"): 1,
        ("billing", "reserved"): 1,
    }
    ages = page["switchboard_work_items_oldest_waiting_seconds"]
    assert ages == {("support",): 300, ("billing",): 0, ("returns",): 0}, "of those that wait, not of those in hand"
    open_ = page["switchboard_deliveries_open"]
    assert {place: count for place, count in open_.items() if count} == {
        ("email", "pending"): 1,
        ("email", "deferred"): 2,
        ("chat", "unknown"): 1,
    }
    assert open_[("web_form", "attempting")] == 0
    backlog = page["switchboard_outbox_backlog"]
    assert {place: count for place, count in backlog.items() if count} == {("interactions",): 2, ("replies",): 1}
    assert page["switchboard_dead_letters"] == {("open",): 1}
    held = page["switchboard_interactions_held"]
    assert {place: count for place, count in held.items() if count} == {("email",): 1}


async def test_the_store_is_asked_every_few_seconds_however_often_the_page_is(desk: Desk, database: Database) -> None:
    await asyncio.gather(*(desk.page() for _ in range(5)))
    await database.write(lambda conn: conn.execute(work_items.update().values(state="completed")))
    desk.clock.advance(EVERY_S - 0.1)
    assert (await desk.page())["switchboard_work_items"][("support", "queued")] == 2
    desk.clock.advance(0.2)
    page = await desk.page()
    assert page["switchboard_work_items"][("support", "queued")] == 0, "and not gone"
    assert page["switchboard_work_items"][("billing", "reserved")] == 0, "though no configuration names that queue"
    assert page["switchboard_work_items_oldest_waiting_seconds"][("support",)] == 0


async def test_where_the_store_is_away_the_page_has_no_figures_of_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "switchboard_work_items" in await desk.page()

    async def away(_self: Database, _work: Callable[[Connection], T]) -> T:
        raise StoreUnavailable("no answer")

    monkeypatch.setattr(Database, "read", away)
    desk.clock.advance(EVERY_S)
    page = await desk.page()
    assert not [
        name for name in page if name.startswith(("switchboard_work", "switchboard_deliv", "switchboard_outbox"))
    ]
    monkeypatch.undo()
    desk.clock.advance(EVERY_S)
    assert "switchboard_work_items" in await desk.page()


async def test_a_page_does_not_wait_for_a_store_that_is_slow(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "PATIENCE_S", 0.0)
    assert "switchboard_work_items" not in await desk.page()
    async with asyncio.timeout(10):
        while "switchboard_work_items" not in await desk.page():
            await asyncio.sleep(0)


async def test_the_figures_read_no_growing_table_whole(tmp_path: Path) -> None:
    async with Database.at("sqlite:///test.db", tmp_path) as database:
        await upgrade(database)
        with watched(partial=frozenset({"outbox_open"})) as plans:
            await database.read(figures.read)
    assert len(plans.scans) == 5
    assert not plans.of("work_items", "deliveries", "outbox", "interactions", "dead_letters")
