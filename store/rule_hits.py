"""Which rules fired lately, and on what: read from the decisions as they were recorded."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import msgspec
from sqlalchemy import LargeBinary, select, type_coerce
from sqlalchemy.engine import Connection

from store.tables import decisions, interactions, work_items

NEWEST = 20_000
"""So many interactions are looked at."""
EXAMPLES = 3


class _Trace(msgspec.Struct):
    name: str
    result: str


class _Made(msgspec.Struct):
    rules: tuple[_Trace, ...] = ()


@dataclass(slots=True)
class Hits:
    """`all_of_them`: nothing older was left out."""

    looked_at: int = 0
    all_of_them: bool = True
    by_rule: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)
    """Rule → the ids of the newest interactions on which it fired."""


_decoder = msgspec.json.Decoder(_Made)


def hits(conn: Connection, since: datetime, queues: Sequence[str] = ()) -> Hits:
    """Rules that fired on what was accepted since then. With `queues`, examples are only what came to one of them."""
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
    found, seen = Hits(), set()
    for row in conn.execute(query):
        seen.add(row.id)
        for name in {trace.name for trace in _decoder.decode(row.body).rules if trace.result == "fired"}:
            found.by_rule[name] += 1
            shown = found.examples.setdefault(name, [])
            if len(shown) < EXAMPLES and row.id not in shown and (visible is None or row.conversation_id in visible):
                shown.append(row.id)
    found.looked_at = len(seen)
    found.all_of_them = len(seen) < NEWEST
    return found
