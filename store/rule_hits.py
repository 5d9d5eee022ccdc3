"""Which rules fired lately, and on what: counted by day as decisions take effect; examples are read from the newest."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cache
from typing import Any
from zlib import crc32

import msgspec
from sqlalchemy import LargeBinary, func, select, type_coerce
from sqlalchemy.engine import Connection

from schemas.decision import Decision
from store.sql import dialect_insert, write_rows
from store.tables import decisions, interactions, rule_days, work_items

NEWEST = 20_000
"""So many interactions are looked at for examples."""
EXAMPLES = 3
SLOTS = 8
ALL = ""
"""Stands for all decisions where a rule's name would."""


class _Trace(msgspec.Struct):
    name: str
    result: str


class _Made(msgspec.Struct):
    rules: tuple[_Trace, ...] = ()


@dataclass(slots=True)
class Hits:
    """`looked_at`: how many decisions were counted."""

    looked_at: int = 0
    by_rule: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)
    """Rule → the ids of the newest interactions on which it fired."""


_decoder = msgspec.json.Decoder(_Made)


def note(conn: Connection, made: Sequence[Decision]) -> None:
    """Count decisions that take effect in this transaction."""
    if not made:
        return
    by_day: dict[date, list[str]] = {}
    for decision in made:  # names are unique within a policy
        fired = [rule.name for rule in decision.rules if rule.result == "fired"]
        by_day.setdefault(decision.decided_at.astimezone(UTC).date(), []).extend((ALL, *fired))
    # Processes that apply at once would wait for each other's rows. Sorted, so that none waits in a circle.
    slot = crc32(made[0].conversation_id.encode()) % SLOTS
    rows = [
        {"day": day.isoformat(), "rule": rule, "slot": slot, "hits": count}
        for day, names in sorted(by_day.items())
        for rule, count in sorted(Counter(names).items())
    ]
    write_rows(conn, _counting(conn.dialect.name), rows)


@cache
def _counting(dialect: str) -> Any:
    statement = dialect_insert(dialect, rule_days)
    more = rule_days.c.hits + statement.excluded.hits
    return statement.on_conflict_do_update(index_elements=["day", "rule", "slot"], set_={"hits": more})


def sweep(conn: Connection, before: datetime) -> int:
    """Forget the oldest day before that one (UTC), a slot at a time; how many rows that was."""
    oldest = (
        select(rule_days.c.day, rule_days.c.slot)
        .where(rule_days.c.day < before.astimezone(UTC).date().isoformat())
        .order_by(rule_days.c.day)
        .limit(1)
    )
    row = conn.execute(oldest).first()
    if row is None:
        return 0
    return conn.execute(rule_days.delete().where(rule_days.c.day == row.day, rule_days.c.slot == row.slot)).rowcount


def hits(conn: Connection, since: datetime, queues: Sequence[str] = ()) -> Hits:
    """Rules that fired since that day (UTC) began. With `queues`, examples are only what came to one of them."""
    days = select(rule_days.c.rule, func.sum(rule_days.c.hits)).where(
        rule_days.c.day >= since.astimezone(UTC).date().isoformat()
    )
    found = Hits(by_rule=Counter({rule: int(count) for rule, count in conn.execute(days.group_by(rule_days.c.rule))}))
    found.looked_at = found.by_rule.pop(ALL, 0)
    found.examples = _examples(conn, since, queues)
    return found


def _examples(conn: Connection, since: datetime, queues: Sequence[str]) -> dict[str, list[str]]:
    visible = None
    if queues:
        theirs = select(work_items.c.conversation_id).where(work_items.c.queue.in_(queues))
        visible = set(conn.scalars(theirs))
    newest = (
        select(interactions.c.id, interactions.c.conversation_id, interactions.c.accepted_at)
        .where(interactions.c.accepted_at >= since)
        .order_by(interactions.c.accepted_at.desc(), interactions.c.id)
        .limit(NEWEST)
        .subquery()
    )
    query = (
        select(newest.c.id, newest.c.conversation_id, type_coerce(decisions.c.body, LargeBinary).label("body"))
        .select_from(newest.join(decisions, decisions.c.interaction_id == newest.c.id))
        .order_by(newest.c.accepted_at.desc(), newest.c.id)
        .execution_options(yield_per=1000)
    )
    found: dict[str, list[str]] = {}
    for row in conn.execute(query):
        if visible is not None and row.conversation_id not in visible:
            continue
        for name in {trace.name for trace in _decoder.decode(row.body).rules if trace.result == "fired"}:
            shown = found.setdefault(name, [])
            if len(shown) < EXAMPLES and row.id not in shown:
                shown.append(row.id)
    return found
