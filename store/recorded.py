"""What was accepted and decided, as bytes: for those who decide it all again."""

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import LargeBinary, func, select, type_coerce
from sqlalchemy.engine import Connection

from store.tables import decisions, interactions

Recorded = tuple[bytes, bytes]
"""An interaction and the decision on it, both as JSON."""


def count(conn: Connection, since: datetime) -> int:
    """How many decided interactions `each` gives at most."""
    return conn.scalar(select(func.count()).where(interactions.c.accepted_at >= since)) or 0


def each(conn: Connection, since: datetime, *, batch: int) -> Iterator[list[Recorded]]:
    """Every interaction accepted since then, with its last decision, in batches; those still undecided are left out."""
    query = (
        select(
            interactions.c.id,
            type_coerce(interactions.c.body, LargeBinary).label("body"),
            type_coerce(decisions.c.body, LargeBinary).label("decision"),
        )
        .join(decisions, decisions.c.interaction_id == interactions.c.id)
        .where(interactions.c.accepted_at >= since, interactions.c.body.is_not(None))
        .order_by(interactions.c.id, decisions.c.decided_at)
        .execution_options(yield_per=batch)
    )
    pending: dict[str, Recorded] = {}
    for row in conn.execute(query):
        if len(pending) >= batch and row.id not in pending:
            yield list(pending.values())
            pending = {}
        pending[row.id] = (bytes(row.body), bytes(row.decision))
    if pending:
        yield list(pending.values())
