"""The whole chain: from accept() to the work item in the store, on the embedded broker with SQLite in one installation,
and on Apache Kafka with PostgreSQL as separate processes. This process is the edge."""

import asyncio
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path

from rich.console import Console
from rich.table import Table
from sqlalchemy import select
from sqlalchemy.engine import Connection

from runtime.clock import SystemClock
from runtime.collector import tune_collector
from store.store import Store
from store.tables import work_items
from switchboard.base import make_base
from switchboard.settings import load
from tests.kit.contacts import arrival, email
from tests.kit.fleet import fleet
from tests.kit.town import running

RATE_PER_S, SECONDS, WARM_SECONDS = 200, 20, 5
FLOOD, AT_ONCE, WARM = 3_000, 64, 100
LOOK_EVERY_S = 0.02
OVERLAP, WIDE_EVERY = timedelta(milliseconds=100), 50
"""A look takes the newest only, as it must stay cheap; every so many looks one takes all, for what was committed late.
"""
TIMEOUT_S = 120.0
MEMBERS = {"relay-1": ["relay"], "router-1": ["router"], "applier-1": ["applier"]}
TEXT = "Lorem ipsum dolor sit amet, consetetur sadipscing elitr, sed diam nonumy eirmod tempor. " * 6


class Chain:
    """Accepts mails, each in a conversation of its own, and sees when each has become a work item."""

    def __init__(self, store: Store, mark: str) -> None:
        self._store, self._mark, self._clock = store, mark, SystemClock()
        self._begun: dict[str, float] = {}
        self._seen: dict[str, float] = {}
        self._newest = self._since = self._clock.now()

    async def accept(self, number: int) -> None:
        name = f"{self._mark}-{number}"
        contact = email(f"{name}@example.org", sender=f"{name}@example.org", subject="Dolor", text=TEXT)
        begun = time.perf_counter()
        contact = contact.model_copy(update={"received_at": self._clock.now()})
        accepted = await self._store.intake.accept(arrival(contact), self._clock.now())
        self._begun[accepted.conversation_id] = begun

    async def watch(self, count: int) -> None:
        """Return when all are work items."""
        known = looks = 0
        async with asyncio.timeout(TIMEOUT_S):
            while known < count:
                looks += 1
                since = self._newest - OVERLAP if looks % WIDE_EVERY else self._since
                rows = await self._store.database.look(lambda conn, since=since: self._new(conn, since))  # type: ignore[misc]
                now = time.perf_counter()
                for conversation, enqueued_at in rows:
                    self._seen.setdefault(conversation, now)
                    self._newest = max(self._newest, enqueued_at)
                known = len(self._seen.keys() & self._begun.keys())
                await asyncio.sleep(LOOK_EVERY_S)

    def _new(self, conn: Connection, since: datetime) -> list[tuple[str, datetime]]:
        query = select(work_items.c.conversation_id, work_items.c.enqueued_at)
        return [(c, at) for c, at in conn.execute(query.where(work_items.c.enqueued_at > since))]

    def waits_ms(self) -> list[float]:
        return sorted((self._seen[c] - begun) * 1000 for c, begun in self._begun.items() if c in self._seen)

    async def warm(self) -> None:
        """Until everybody has joined their groups and has read the policy: that is once in a process's life. What a
        broker's or a database's first seconds are slower by is left out as well: see `WARM_SECONDS`."""
        await asyncio.gather(*(self.accept(number) for number in range(WARM)))
        await self.watch(WARM)

    async def steady(self, seconds: int = SECONDS) -> list[float]:
        """At `RATE_PER_S`, whatever becomes of those before (an open loop): the waits in ms, sorted."""
        count = RATE_PER_S * seconds
        watching = asyncio.create_task(self.watch(count))
        start = time.perf_counter()
        tasks = []
        for number in range(count):
            await asyncio.sleep(max(0.0, start + number / RATE_PER_S - time.perf_counter()))
            tasks.append(asyncio.create_task(self.accept(number)))
        await asyncio.gather(*tasks)
        await watching
        return self.waits_ms()

    async def flood(self) -> float:
        """As many as go: accepted interactions a second, to the last work item."""
        numbers = iter(range(FLOOD))

        async def edge() -> None:
            for number in numbers:
                await self.accept(number)

        async def done() -> None:
            async with asyncio.timeout(TIMEOUT_S):
                while await self._store.database.read(self._count) < FLOOD:
                    await asyncio.sleep(0.05)

        start = time.perf_counter()
        await asyncio.gather(*(edge() for _ in range(AT_ONCE)))
        await done()
        return FLOOD / (time.perf_counter() - start)

    def _count(self, conn: Connection) -> int:
        query = select(work_items.c.id).where(work_items.c.subject == "Dolor", work_items.c.id.is_not(None))
        mine = self._begun.keys()
        return sum(row.rpartition(":work:")[0] in mine for row in conn.scalars(query))


@asynccontextmanager
async def one_installation(folder: Path) -> AsyncIterator[Store]:
    tune_collector()  # as `switchboard run` does
    async with running(folder) as site:
        yield site.house.base.store


@asynccontextmanager
async def separate_processes(folder: Path) -> AsyncIterator[Store]:
    async with fleet(folder, members=MEMBERS, durable=True) as site:
        base = make_base(load(site.stage.config))
        async with base.database:
            yield base.store


async def chain_figures(out: Console) -> dict[str, float]:
    """The figures, and a table of them on `out`."""
    figures: dict[str, float] = {}
    table = Table(
        title=f"accept() → work item in the store, at {RATE_PER_S}/s and as fast as it goes", title_justify="left"
    )
    for column in ("chain", "p50 ms", "p99 ms", "interactions/s"):
        table.add_column(column, justify="left" if column == "chain" else "right")
    for name, key, open_ in (
        ("embedded broker, SQLite, one installation", "embedded_sqlite", one_installation),
        ("Apache Kafka, PostgreSQL, separate processes", "kafka_postgresql", separate_processes),
    ):
        with tempfile.TemporaryDirectory(prefix="sbchain") as folder:
            async with open_(Path(folder)) as store:
                await Chain(store, "warm").warm()
                await Chain(store, "warm-steady").steady(WARM_SECONDS)
                waits = await Chain(store, "steady").steady()
                rate = await Chain(store, "flood").flood()
        p50, p99 = statistics.median(waits), waits[int(len(waits) * 0.99)]
        figures |= {
            f"accept_to_queue_p50_ms_{key}": round(p50, 1),
            f"accept_to_queue_p99_ms_{key}": round(p99, 1),
            f"chain_per_s_{key}": round(rate),
        }
        table.add_row(name, f"{p50:.0f}", f"{p99:.0f}", f"{rate:,.0f}")
    figures["accept_to_queue_p99_ms"] = max(value for key, value in figures.items() if "_p99_ms_" in key)
    out.print(table)
    return figures
