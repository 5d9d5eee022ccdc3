"""The applier: consumes decisions, deliveries and dead letters, and makes them true in the store.

One transaction per batch.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.engine import Connection

from bus.dead_letters import whole_letter
from bus.one_by_one import do_or_set_aside
from bus.records import Batch, Record
from bus.topics import DEAD_LETTERS, DECISIONS, DELIVERIES
from router.applier.apply import apply_dead_letter, apply_decisions, apply_delivery
from router.policies import PolicyBook
from rules.policy import Policy
from runtime.clock import Clock
from runtime.metrics import Metrics
from schemas import structs
from schemas.codec import Invalid
from schemas.dead_letter import DeadLetter
from schemas.decision import Decision
from schemas.delivery import Delivery
from schemas.errors import NotFound
from schemas.fast import decode_applicable
from store.database import Database
from store.outbox import Outbox

GROUP = "switchboard-applier"
TOPICS = (DECISIONS, DELIVERIES, DEAD_LETTERS)
Applicable = Decision | Delivery | DeadLetter
_DECISION = (Decision, structs.Decision)


class Applier:
    """`handle` is what a pump over `TOPICS` calls."""

    def __init__(self, database: Database, out: Outbox, policies: PolicyBook, clock: Clock, metrics: Metrics) -> None:
        self._database = database
        self._out = out
        self._policies = policies
        self._clock = clock
        self._applied = metrics.counter("applied_total", "Events applied to the store.", ["event", "outcome"])
        self._deliveries = metrics.counter(
            "deliveries_reported_total", "What became of deliveries.", ["channel", "state"]
        )

    async def handle(self, batch: Batch) -> None:
        await do_or_set_aside(list(batch), self._do, self._keep, self._clock.now)

    async def _do(self, records: Sequence[Record]) -> None:
        await self._apply([self._event(record) for record in records])

    async def _keep(self, letter: DeadLetter) -> None:
        await self._apply([letter])

    async def _apply(self, events: Sequence[Applicable]) -> None:
        now = self._clock.now()
        versions = {e.policy_version for e in events if isinstance(e, _DECISION)}
        try:
            policies: dict[str, Policy] = await self._policies.get(versions)
        except NotFound as error:
            raise NotFound(f"{error}: a decision names a policy that was never published") from error

        def work(conn: Connection) -> list[tuple[str, str]]:
            return _all(conn, self._out, events, policies, now)

        for event, outcome in await self._database.write(work):
            self._applied.labels(event, outcome).inc()
        for reported in events:
            if isinstance(reported, Delivery):
                self._deliveries.labels(reported.channel, reported.state.value).inc()

    def _event(self, record: Record) -> Applicable:
        found = decode_applicable(record.headers, record.value)
        if isinstance(found, Invalid):
            return whole_letter(record, found.reason, found.detail, at=self._clock.now())
        if not isinstance(found, (*_DECISION, Delivery, DeadLetter)):
            why = f"a {found.TYPE} does not belong on topic {record.topic}"
            return whole_letter(record, "invalid", why, at=self._clock.now())
        return found


def _all(
    conn: Connection, out: Outbox, events: Sequence[Applicable], policies: dict[str, Policy], now: datetime
) -> list[tuple[str, str]]:
    """(event, outcome) of each, for the metrics. The decisions first, together: what else a batch has is about replies
    and dead letters, which came of decisions that were applied before."""
    made = [event for event in events if isinstance(event, _DECISION)]
    applied: list[tuple[str, str]] = []
    if made:
        bounds = {version: policy.source.auto_answer for version, policy in policies.items()}
        applied = [("decision", outcome) for outcome in apply_decisions(conn, out, made, bounds, now)]
    for event in events:
        match event:
            case Delivery():
                applied.append(("delivery", apply_delivery(conn, out, event, now)))
            case DeadLetter():
                applied.append(("dead_letter", apply_dead_letter(conn, event, now)))
    return applied
