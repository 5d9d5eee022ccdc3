"""What was accepted and decided, as bytes: for those who decide it all again."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import BigInteger, LargeBinary, and_, bindparam, func, or_, select, type_coerce
from sqlalchemy.engine import Connection

from store.sql import as_moment
from store.tables import decisions, interactions

Recorded = tuple[bytes, bytes]
"""An interaction and the decision on it, both as JSON."""

Place = tuple[datetime, str]
"""Where a page ends: when an interaction was accepted, and its id. "" comes before every id."""


@dataclass(frozen=True, slots=True)
class Page:
    """`end` is None after the last one."""

    recorded: list[Recorded]
    looked_at: int
    end: Place | None


def count(conn: Connection, since: datetime) -> int:
    """How many interactions the pages go through."""
    return conn.scalar(select(func.count()).where(interactions.c.accepted_at >= since)) or 0


def places(conn: Connection, since: datetime, size: int) -> list[Place]:
    """Where each page of that size begins."""
    found = [(since, "")]
    while row := conn.execute(_STEP, {"at": found[-1][0], "key": found[-1][1], "size": size}).one_or_none():
        found.append((row.accepted_at, row.id))
    return found


def page(conn: Connection, after: Place, size: int) -> Page:
    """The next `size` interactions in the order in which they were accepted, each with its last decision. Those still
    undecided are looked at and left out."""
    found: dict[str, tuple[int, Recorded]] = {}
    places: dict[str, int] = {}
    for key, at, body, decided_at, decision in conn.execute(
        _PAGE, {"at": after[0], "key": after[1], "size": size}
    ).all():
        places[key] = at
        if decision is not None and body is not None and (key not in found or found[key][0] < decided_at):
            found[key] = (decided_at, (body, decision))
    end: Place | None = None
    if len(places) == size:
        last, key = max((at, key) for key, at in places.items())
        end = as_moment(last), key
    return Page([recorded for _, recorded in found.values()], len(places), end)


_at, _id = interactions.c.accepted_at, interactions.c.id
_behind = and_(_at >= bindparam("at"), or_(_at > bindparam("at"), and_(_at == bindparam("at"), _id > bindparam("key"))))
_STEP = select(_at, _id).where(_behind).order_by(_at, _id).limit(1).offset(bindparam("size") - 1)
_looked_at = (
    select(_id, _at, type_coerce(interactions.c.body, LargeBinary).label("body"))
    .where(_behind)
    .order_by(_at, _id)
    .limit(bindparam("size"))
    .subquery()
)
_PAGE = select(
    _looked_at.c.id,
    type_coerce(_looked_at.c.accepted_at, BigInteger),  # only to be compared
    _looked_at.c.body,
    type_coerce(decisions.c.decided_at, BigInteger),
    type_coerce(decisions.c.body, LargeBinary),
).select_from(_looked_at.outerjoin(decisions, decisions.c.interaction_id == _looked_at.c.id))
