"""The outbox: events written in the transaction that made them true, published by the relay afterwards.

A row's position is dense per conversation and topic. When a row counts as done depends on the broker: a durable one
keeps what it confirmed; one that may forget (a single or the embedded broker) keeps it until its effect is in the
store, and what it forgot is published again under its new incarnation.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import and_, bindparam, func, or_, select, text, update
from sqlalchemy.engine import Connection

from schemas import codec
from schemas.events import TOPIC_OF, Event, event_id
from schemas.outbox import OutboxRow
from store.sql import dialect_insert, news, write_rows
from store.tables import broker_log, leases, outbox, outbox_positions

EFFECT_TOPICS = ("interactions", "replies", "deliveries")
"""On a broker that may forget, rows of these are done only when their effect is in the store."""


class Outbox:
    """Writes events for the relay. `shard_of` maps a key to its partition, as the producer does."""

    def __init__(self, shard_of: Callable[[str], int]) -> None:
        self._shard_of = shard_of

    def put(self, conn: Connection, event: Event, *, new: bool = False) -> bool:
        """As `put_many`, for one event. False if an event of that id was written before."""
        return self.put_many(conn, [event], new=new) == 1

    def put_many(self, conn: Connection, events: Sequence[Event], *, new: bool = False) -> int:
        """Write events for publishing, in this order; how many. Those of an id that was written before are left out;
        `new`: there can be none.

        The caller holds the locks of their conversations, or is the only writer: that makes positions follow commits.
        """
        if not new and events:
            known = set(conn.scalars(_KNOWN, {"events": [event_id(event) for event in events]}))
            events = [event for event in events if event_id(event) not in known]
        if not events:
            return 0
        rows: list[dict[str, Any]] = []
        counts: Counter[tuple[str, str]] = Counter()
        for event in events:
            encoded, topic = codec.encode(event), TOPIC_OF[event.TYPE]
            counts[(encoded.key, topic)] += 1
            rows.append(
                {
                    "event_id": event_id(event),
                    "topic": topic,
                    "key": encoded.key,
                    "shard": self._shard_of(encoded.key),
                    "headers": [[name, value.decode()] for name, value in encoded.headers],
                    "value": encoded.value,
                }
            )
        # Always in the same order: two transactions may want the same places.
        wanted = [{"key": key, "topic": topic, "position": count} for (key, topic), count in sorted(counts.items())]
        write_rows(conn, _more_positions(conn.dialect.name), wanted)
        # RETURNING would cost several times as much as looking.
        ends = conn.execute(_POSITIONS, {"of_keys": sorted({key for key, _ in counts})})
        last = {(key, topic): position for key, topic, position in ends}
        for row in reversed(rows):
            row["position"] = last[(row["key"], row["topic"])]
            last[(row["key"], row["topic"])] -= 1
        write_rows(conn, _INSERT, rows)
        news(conn, "outbox")
        return len(rows)


_INSERT = outbox.insert()
_KNOWN = select(outbox.c.event_id).where(outbox.c.event_id.in_(bindparam("events", expanding=True)))


@cache
def _more_positions(dialect: str) -> Any:
    made = dialect_insert(dialect, outbox_positions)
    more = outbox_positions.c.position + made.excluded.position
    return made.on_conflict_do_update(index_elements=["key", "topic"], set_={"position": more})


_POSITIONS = select(outbox_positions.c.key, outbox_positions.c.topic, outbox_positions.c.position).where(
    outbox_positions.c.key.in_(bindparam("of_keys", expanding=True))
)


def done(conn: Connection, event_ids: Sequence[str]) -> None:
    """These events have had their effect: never publish them again."""
    if event_ids:
        conn.execute(_DONE, {"events": list(event_ids)})


_DONE = (
    update(outbox).where(outbox.c.event_id.in_(bindparam("events", expanding=True)), ~outbox.c.done).values(done=True)
)


def pending(conn: Connection, shards: Sequence[int], incarnation: str, limit: int) -> list[OutboxRow]:
    """Rows that this incarnation of the broker has not confirmed, oldest first."""
    values = {"shards": list(shards), "now_at": incarnation, "limit": limit}
    return [
        OutboxRow(
            r.id,
            r.topic,
            r.key,
            r.shard,
            r.position,
            r.event_id,
            tuple((name, value.encode()) for name, value in r.headers),
            r.value,
        )
        for r in conn.execute(_PENDING, values)
    ]


_OPEN = text("NOT outbox.done")
"""As the partial index says it: SQLAlchemy would write `done = 0`, for which SQLite reads the whole table."""

# Statements that run for every batch are made once: making one costs as much as running it.
_PENDING = (
    select(outbox)
    .where(
        _OPEN,
        outbox.c.shard.in_(bindparam("shards", expanding=True)),
        or_(outbox.c.incarnation.is_(None), outbox.c.incarnation != bindparam("now_at")),
    )
    .order_by(outbox.c.id)
    .limit(bindparam("limit"))
)
_CONFIRM = (
    update(outbox)
    .where(outbox.c.id == bindparam("row_id"))
    .values(
        incarnation=bindparam("now_at"),
        partition=bindparam("to_partition"),
        offset=bindparam("to_offset"),
        done=or_(outbox.c.done, bindparam("is_done")),
    )
)


def confirm(
    conn: Connection,
    shards: Mapping[int, int],
    incarnation: str,
    rows: Sequence[tuple[OutboxRow, int, int]],
    *,
    durable: bool,
) -> bool:
    """Note where the broker put the rows. Rows of a shard whose lease has moved on are left alone.

    False, and nothing is noted, if a broker that may forget gave an offset that it had given before: its log has lost
    its end.
    """
    ours = held(conn, shards)
    values = [
        {
            "row_id": row.id,
            "now_at": incarnation,
            "of_topic": row.topic,
            "to_partition": partition,
            "to_offset": offset,
            "is_done": durable or row.topic not in EFFECT_TOPICS,
        }
        for row, partition, offset in rows
        if row.shard in ours
    ]
    if not values:
        return True
    if not durable and not _log_grows(conn, incarnation, values):
        return False
    write_rows(conn, _CONFIRM, values)
    return True


def _log_grows(conn: Connection, incarnation: str, values: Sequence[Mapping[str, Any]]) -> bool:
    """Note the new ends of the log. False if it ends, or did meanwhile, below what was noted."""
    topics = {value["of_topic"] for value in values}
    known = highest_offsets(conn, incarnation, topics)
    again = [v for v in values if 0 <= v["to_offset"] <= known.get((v["of_topic"], v["to_partition"]), -1)]
    if again:
        # A repeat of this very transaction is no loss.
        noted = {
            row.id: (row.partition, row.offset)
            for row in conn.execute(
                select(outbox.c.id, outbox.c.partition, outbox.c.offset).where(
                    outbox.c.id.in_([v["row_id"] for v in again]), outbox.c.incarnation == incarnation
                )
            )
        }
        if any(noted.get(v["row_id"]) != (v["to_partition"], v["to_offset"]) for v in again):
            return False
    ends: dict[tuple[str, int], int] = {}
    for v in values:
        place = (v["of_topic"], v["to_partition"])
        ends[place] = max(v["to_offset"], ends.get(place, -1))
    conn.execute(
        _raise_end(conn.dialect.name),
        [
            {"incarnation": incarnation, "topic": topic, "partition": partition, "highest": highest}
            for (topic, partition), highest in sorted(ends.items())
        ],
    )
    return True


@cache
def _raise_end(dialect: str) -> Any:
    statement = dialect_insert(dialect, broker_log)
    return statement.on_conflict_do_update(
        index_elements=["incarnation", "topic", "partition"],
        set_={"highest": statement.excluded.highest},
        where=broker_log.c.highest < statement.excluded.highest,
    )


def held(conn: Connection, shards: Mapping[int, int]) -> set[int]:
    """The shards whose epoch still holds; nobody can take them over before this transaction has ended."""
    if not shards:
        return set()
    theirs = or_(
        *(and_(leases.c.name == f"outbox:{shard}", leases.c.epoch == epoch) for shard, epoch in shards.items())
    )
    query = select(leases.c.name).where(theirs).order_by(leases.c.name).with_for_update(read=True)
    return {int(name.partition(":")[2]) for name in conn.scalars(query)}


def published(conn: Connection, event_id: str, raw: bytes | None, dataref: str | None) -> bool:
    """True if these bytes (or those behind a content-addressed dataref) are what was written under that event's id."""
    value = conn.scalar(select(outbox.c.value).where(outbox.c.event_id == event_id))
    if value is None:
        return False
    return value == raw or dataref == f"blob:sha256/{hashlib.sha256(value).hexdigest()}"


def backlog(conn: Connection) -> int:
    """Rows that no broker has confirmed yet."""
    return conn.scalar(select(func.count()).select_from(outbox).where(_OPEN, outbox.c.incarnation.is_(None))) or 0


def backlog_by_topic(conn: Connection) -> dict[str, int]:
    """As `backlog`, for each topic that has any."""
    query = select(outbox.c.topic, func.count()).where(_OPEN, outbox.c.incarnation.is_(None)).group_by(outbox.c.topic)
    return {topic: count for topic, count in conn.execute(query)}


def highest_offsets(
    conn: Connection, incarnation: str, topics: Collection[str] | None = None
) -> dict[tuple[str, int], int]:
    """The highest confirmed offset per topic and partition: a log that ends below it has lost records."""
    query = select(broker_log).where(broker_log.c.incarnation == incarnation)
    if topics is not None:
        query = query.where(broker_log.c.topic.in_(topics))
    return {(row.topic, row.partition): row.highest for row in conn.execute(query)}


def sweep(conn: Connection, keep: int, most: int = 2_000) -> int:
    """Delete done rows that are not among the last `keep` of all, at most `most`, the oldest first; how many."""
    last = conn.scalar(select(func.max(outbox.c.id))) or 0
    old = select(outbox.c.id).where(outbox.c.done, outbox.c.id <= last - keep).order_by(outbox.c.id).limit(most)
    return conn.execute(outbox.delete().where(outbox.c.id.in_(old))).rowcount
