"""What a contact centre is watched by, for /metrics: what waits, for how long, and what has not gone out yet.

Read from the store when somebody asks for the page, every few seconds at most. When the store is away these figures are
left out: a number that was true an hour ago would look like one of now.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.engine import Connection

from bus.topics import TOPICS
from ops.port import Context
from runtime.logs import get_logger
from runtime.tasks import TaskOwner
from schemas.errors import is_temporary
from schemas.interaction import CHANNELS
from schemas.states import OPEN_WORK_ITEM_STATES, WorkItemState
from store import dead_letters, deliveries, ledger, outbox, work_items

EVERY_S = 5.0
SHARE = 0.02
"""Of the time; where reading takes long because much waits, it is done less often."""
PATIENCE_S = 2.0
"""What a page waits for the store; it goes without, and the next one has what came too late."""

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Read:
    """What one look into the store found."""

    items: Sequence[work_items.Standing]
    deliveries: dict[tuple[str, str], int]
    backlog: dict[str, int]
    held: dict[str, int]
    dead_letters: int


def read(conn: Connection) -> Read:
    """Nothing here reads what has ended, however much of it there is."""
    return Read(
        work_items.standings(conn),
        deliveries.open_counts(conn),
        outbox.backlog_by_topic(conn),
        ledger.held_counts(conn),
        dead_letters.open_count(conn),
    )


class Figures:
    """Service, after the store."""

    name = "ops figures"

    def __init__(self, context: Context) -> None:
        self._database, self._clock, self._metrics = context.store.database, context.clock, context.metrics
        gauge = context.metrics.gauge
        self._items = gauge("work_items", "Open work items; queued ones wait for an agent.", ["queue", "state"])
        self._oldest = gauge(
            "work_items_oldest_waiting_seconds",
            "How long the oldest work item that is queued has been in the line; 0 where none is.",
            ["queue"],
        )
        self._deliveries = gauge(
            "deliveries_open", "Deliveries that have not ended; unknown ones wait for a person.", ["channel", "state"]
        )
        self._backlog = gauge("outbox_backlog", "Events that no broker has confirmed yet.", ["topic"])
        self._held = gauge("interactions_held", "Interactions that wait for a person to release them.", ["channel"])
        self._dead_letters = gauge("dead_letters", "Dead letters; open: nobody has settled them.", ["state"])
        self._queues = set(context.queues)
        self._next_at = float("-inf")
        self._reading: asyncio.Task[None] | None = None
        self._tasks = TaskOwner()

    async def start(self) -> None:
        self._metrics.before_page(self.look)

    async def drain(self) -> None:
        """Nothing to do."""

    async def stop(self) -> None:
        self._metrics.not_before_page(self.look)
        await self._tasks.cancel_all(2.0)

    async def look(self) -> None:
        """Have figures that are new enough, or none; in bounded time, however many ask at once."""
        if self._reading is None or self._reading.done():
            if self._clock.monotonic() < self._next_at:
                return
            self._reading = self._tasks.spawn(f"{self.name} read", self._read(), forever=False)
        await asyncio.wait({self._reading}, timeout=PATIENCE_S)

    async def _read(self) -> None:
        begun = self._clock.monotonic()
        try:
            self._show(await self._database.read(read), self._clock.now())
        except Exception as error:  # whatever it is: the page has more to say than this
            self._clear()
            level = log.debug if is_temporary(error) else log.error
            level("no figures of the store", error=repr(error))
        now = self._clock.monotonic()
        self._next_at = max(begun + EVERY_S, now + (now - begun) / SHARE)

    def _show(self, found: Read, now: datetime) -> None:
        # A queue that has got empty is 0 from then on: one that vanished could not be told from one never looked at.
        self._queues |= {each.queue for each in found.items}
        items = {(each.queue, each.state): each for each in found.items}
        for queue in self._queues:
            for state in OPEN_WORK_ITEM_STATES:
                there = items.get((queue, state))
                self._items.labels(queue, state.value).set(there.count if there else 0)
            oldest = items.get((queue, WorkItemState.QUEUED))
            age = (now - oldest.oldest).total_seconds() if oldest else 0.0
            self._oldest.labels(queue).set(max(0.0, age))
        for channel in CHANNELS:
            for state_ in deliveries.OPEN:
                self._deliveries.labels(channel, state_.value).set(found.deliveries.get((channel, state_.value), 0))
            self._held.labels(channel).set(found.held.get(channel, 0))
        self._dead_letters.labels("open").set(found.dead_letters)
        for topic in TOPICS:
            self._backlog.labels(topic.name).set(found.backlog.get(topic.name, 0))

    def _clear(self) -> None:
        for gauge in (self._items, self._oldest, self._deliveries, self._backlog, self._held, self._dead_letters):
            gauge.clear()
