"""Work items: the queue is this table. At most one is open per conversation.

Every new owner gets a higher epoch; a write with an older one is refused, so that an agent who was thought dead
cannot answer a second time.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, and_, case, func, not_, or_, select, update
from sqlalchemy.engine import Connection

from schemas.errors import NotFound, StateConflict
from schemas.states import OPEN_WORK_ITEM_STATES, WORK_ITEM_MOVES, WorkItemState
from schemas.work_item import WorkItem
from store.outbox import Outbox
from store.tables import work_items

IS_OPEN = work_items.c.state.in_([state.value for state in OPEN_WORK_ITEM_STATES])


class LeaseLost(StateConflict):
    """The work item is no longer this agent's: the lease ran out, or somebody else has it."""


def claim(
    conn: Connection,
    out: Outbox,
    agent: str,
    *,
    queues: Sequence[str],
    now: datetime,
    until: datetime,
    item_id: str | None = None,
) -> WorkItem | None:
    """Assign the next waiting item (or `item_id`) to the agent. None when nothing waits.

    Raises NotFound, StateConflict for an `item_id` that is not waiting.
    """
    query = _line(queues, agent, now) if item_id is None else _line(queues).where(work_items.c.id == item_id)
    query = query.limit(1).with_for_update(skip_locked=True)
    row = conn.execute(query).one_or_none()
    if row is None:
        if item_id is not None:
            item = get(conn, item_id)
            taken = f"taken by {item.agent}" if item.agent else f"{item.state}"
            raise StateConflict(f"work item {item_id} is not waiting: {taken}")
        return None
    return _change(
        conn,
        out,
        row,
        now,
        state=WorkItemState.ASSIGNED.value,
        agent=agent,
        epoch=row.epoch + 1,
        leased_until=until,
    )


def held(conn: Connection, item_id: str, agent: str, epoch: int) -> WorkItem:
    """The item, locked, if it is assigned to `agent` under `epoch`. Raises NotFound, LeaseLost."""
    row = conn.execute(select(work_items).where(work_items.c.id == item_id).with_for_update()).one_or_none()
    if row is None:
        raise NotFound(f"no work item {item_id}")
    if row.state != WorkItemState.ASSIGNED.value or row.agent != agent or row.epoch != epoch:
        now_with = f"taken by {row.agent}" if row.agent and row.agent != agent else f"now {row.state}"
        raise LeaseLost(f"work item {item_id} is no longer yours: {now_with}", hint="accept it again if it waits")
    return item_of(row._asdict())


def renew(conn: Connection, item_id: str, agent: str, epoch: int, until: datetime) -> WorkItem:
    """Extend the lease. Raises NotFound, LeaseLost. No event: nothing changed for anybody else."""
    item = held(conn, item_id, agent, epoch)
    conn.execute(update(work_items).where(work_items.c.id == item_id).values(leased_until=until))
    return item.model_copy(update={"leased_until": until})


def move(
    conn: Connection, out: Outbox, item_id: str, to: WorkItemState, *, now: datetime, reason: str | None = None
) -> WorkItem:
    """Move an item that the caller has locked. The owner is kept for the record unless it goes back to its queue."""
    row = conn.execute(select(work_items).where(work_items.c.id == item_id)).one()
    if to not in WORK_ITEM_MOVES[WorkItemState(row.state)]:
        raise StateConflict(f"work item {item_id} is {row.state}: it cannot become {to}")
    values: dict[str, Any] = {"state": to.value, "leased_until": None}
    if to is WorkItemState.QUEUED:
        values["agent"] = None
    if reason is not None:
        values["reason"] = reason
    return _change(conn, out, row, now, **values)


def expire_leases(conn: Connection, out: Outbox, now: datetime) -> list[WorkItem]:
    """Put back what agents fell silent on, at its old place in line."""
    rows = conn.execute(
        select(work_items)
        .where(work_items.c.state == WorkItemState.ASSIGNED.value, work_items.c.leased_until < now)
        .with_for_update(skip_locked=True)
    ).all()
    return [
        _change(conn, out, row, now, state=WorkItemState.QUEUED.value, agent=None, leased_until=None) for row in rows
    ]


def get(conn: Connection, item_id: str) -> WorkItem:
    row = conn.execute(select(work_items).where(work_items.c.id == item_id)).one_or_none()
    if row is None:
        raise NotFound(f"no work item {item_id}")
    return item_of(row._asdict())


def open_of(conn: Connection, conversation_id: str) -> WorkItem | None:
    """The conversation's open item, locked. The caller holds the conversation's lock."""
    query = select(work_items).where(
        work_items.c.conversation_id == conversation_id,
        IS_OPEN,
    )
    row = conn.execute(query.with_for_update()).one_or_none()
    return None if row is None else item_of(row._asdict())


def line(conn: Connection, queues: Sequence[str], limit: int) -> list[WorkItem]:
    """What waits, in the order in which it is handed out."""
    return [item_of(row._asdict()) for row in conn.execute(_line(queues).limit(limit))]


def under_reference(conn: Connection, reference: str) -> list[WorkItem]:
    """The open items of the conversation that the customer knows by this."""
    query = select(work_items).where(
        func.lower(work_items.c.reference) == reference.strip().lower(),
        IS_OPEN,
    )
    return [item_of(row._asdict()) for row in conn.execute(query.order_by(work_items.c.id))]


def of_agent(conn: Connection, agent: str) -> list[WorkItem]:
    query = select(work_items).where(work_items.c.agent == agent, work_items.c.state == WorkItemState.ASSIGNED.value)
    return [item_of(row._asdict()) for row in conn.execute(query.order_by(work_items.c.deadline))]


def of_conversation(conn: Connection, conversation_id: str) -> list[WorkItem]:
    query = select(work_items).where(work_items.c.conversation_id == conversation_id)
    return [item_of(row._asdict()) for row in conn.execute(query.order_by(work_items.c.enqueued_at))]


def recent(conn: Connection, states: Collection[WorkItemState], limit: int) -> list[WorkItem]:
    query = select(work_items).where(work_items.c.state.in_([s.value for s in states]))
    return [item_of(row._asdict()) for row in conn.execute(query.order_by(work_items.c.changed_at.desc()).limit(limit))]


def counts(conn: Connection) -> dict[tuple[str, str], int]:
    """(queue, state) → number of work items."""
    query = select(work_items.c.queue, work_items.c.state, func.count()).group_by(
        work_items.c.queue, work_items.c.state
    )
    return {(queue, state): count for queue, state, count in conn.execute(query)}


@dataclass(frozen=True, slots=True)
class Standing:
    """The open work items of one queue in one state."""

    queue: str
    state: WorkItemState
    count: int
    oldest: datetime
    """When the one that is there longest was enqueued."""


def standings(conn: Connection) -> list[Standing]:
    """How many are open, by queue and state; of what is completed, however much it is, nothing is read."""
    place = (work_items.c.queue, work_items.c.state)
    query = select(*place, func.count(), func.min(work_items.c.enqueued_at)).where(IS_OPEN).group_by(*place)
    return [Standing(queue, WorkItemState(state), count, oldest) for queue, state, count, oldest in conn.execute(query)]


def _line(queues: Sequence[str], agent: str | None = None, now: datetime | None = None) -> Select[Any]:
    """`agent`: who is handed the next one now. What is kept for another one is left out, what is kept for this one
    comes first."""
    # P1 before everything, then whoever's deadline comes first; age and id make the order total.
    by: list[Any] = [work_items.c.deadline, work_items.c.enqueued_at, work_items.c.id]
    query = select(work_items).where(work_items.c.state == WorkItemState.QUEUED.value)
    if agent is not None:
        mine, free = work_items.c.kept_for == agent, work_items.c.kept_until <= now
        query = query.where(or_(work_items.c.kept_for.is_(None), mine, free))
        by.insert(0, case((and_(mine, not_(free)), 0), else_=1))
    query = query.order_by(case((work_items.c.tier == "P1", 0), else_=1), *by)
    return query.where(work_items.c.queue.in_(queues)) if queues else query


def _change(conn: Connection, out: Outbox, row: Row[Any], now: datetime, **values: Any) -> WorkItem:
    changed = conn.execute(
        update(work_items)
        .where(work_items.c.id == row.id, work_items.c.version == row.version)
        .values(version=row.version + 1, changed_at=now, **values)
        .returning(*work_items.c)
    ).one_or_none()
    if changed is None:
        raise StateConflict(f"work item {row.id} changed meanwhile")
    return _tell(conn, out, changed)


def _tell(conn: Connection, out: Outbox, row: Row[Any]) -> WorkItem:
    item = item_of(row._asdict())
    out.put(conn, item, new=True)  # whoever changed the row was the only one with that version
    return item


def item_of(row: Mapping[str, Any]) -> WorkItem:
    """The model of a row."""
    values = {name: row[name] for name in WorkItem.model_fields if name in row}
    values |= {"skills": row["skills"] or (), "tags": row["tags"] or (), "at": row["changed_at"]}
    return WorkItem.model_validate(values)
