"""Enqueueing interactions as work items: read once, changed in memory, written once, however many they are.

At most one work item of a conversation is open; what arrives while it is open is taken in by it.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, func, select, update
from sqlalchemy.engine import Connection

from schemas import ids
from schemas.decision import TIERS, Tier
from schemas.errors import StateConflict
from schemas.interaction import Interaction
from schemas.states import WorkItemState
from schemas.work_item import WorkItem
from store import conversations
from store.outbox import Outbox
from store.sql import write_rows
from store.tables import work_items
from store.work_items import IS_OPEN, item_of

_OPEN = select(work_items).where(
    work_items.c.conversation_id.in_(bindparam("wanted", expanding=True)),
    IS_OPEN,
)
_OPEN_LOCKED = _OPEN.order_by(work_items.c.id).with_for_update()
_COUNTS = (
    select(work_items.c.conversation_id, func.count())
    .where(work_items.c.conversation_id.in_(bindparam("wanted", expanding=True)))
    .group_by(work_items.c.conversation_id)
)
_CHANGING = ("version", "changed_at", "tier", "deadline", "skills", "tags", "reason")
_TAKE_IN = (
    update(work_items)
    .where(work_items.c.id == bindparam("item"), work_items.c.version == bindparam("old"))
    .values({column: bindparam(f"new_{column}") for column in _CHANGING})
)


KEPT = timedelta(minutes=5)
"""So long an item waits for the agent of before, and never longer than a quarter of the time that is left for it."""


class Enqueuer:
    """The open work items of some conversations. Takes the conversations' locks until the transaction ends."""

    def __init__(self, conn: Connection, conversation_ids: Collection[str], now: datetime) -> None:
        self._conn, self._now = conn, now
        wanted = sorted(set(conversation_ids))
        conversations.lock_all(conn, wanted)
        rows = conn.execute(_OPEN_LOCKED, {"wanted": wanted}).mappings() if wanted else ()
        self._open: dict[str, dict[str, Any]] = {row["conversation_id"]: dict(row) for row in rows}
        self._before = {conversation: row["version"] for conversation, row in self._open.items()}
        """The versions that were read."""
        self._counts: dict[str, int] | None = None
        self._wanted = wanted
        self._told: list[WorkItem] = []
        self._touched: dict[str, None] = {}

    def is_open(self, conversation_id: str) -> bool:
        return conversation_id in self._open

    def enqueue(
        self,
        interaction: Interaction,
        *,
        queue: str,
        tier: Tier,
        deadline: datetime,
        skills: Sequence[str] = (),
        tags: Sequence[str] = (),
        reason: str = "",
        keep_for: str | None = None,
    ) -> WorkItem:
        """Open a work item for the interaction's conversation, or let the open one take it in.

        The more urgent tier and the earlier deadline win; the place in line is kept. `keep_for`: an agent whom a new
        item is offered first, for a while.
        """
        conversation = interaction.conversation_id
        row = self._open.get(conversation)
        if row is not None:
            reasons = row["reason"].split("; ") if row["reason"] else []
            row |= {
                "version": row["version"] + 1,
                "changed_at": self._now,
                "tier": min(row["tier"], tier, key=TIERS.index),
                "deadline": min(row["deadline"], deadline),
                "skills": sorted({*(row["skills"] or ()), *skills}),
                "tags": sorted({*(row["tags"] or ()), *tags}),
                "reason": "; ".join(reasons if not reason or reason in reasons else [*reasons, reason]),
            }
        else:
            row = self._open[conversation] = {
                "id": ids.work_item_id(conversation, self._count(conversation) + 1),
                "version": 1,
                "conversation_id": conversation,
                "channel": interaction.channel,
                "account": interaction.account,
                "customer_id": interaction.customer_id,
                "reference": interaction.reference,
                "subject": interaction.subject or interaction.text[:80],
                "queue": queue,
                "tier": tier,
                "deadline": deadline,
                "enqueued_at": self._now,
                "state": WorkItemState.QUEUED.value,
                "agent": None,
                "epoch": 0,
                "kept_for": keep_for,
                "kept_until": self._now + min(KEPT, max(deadline - self._now, KEPT * 0) / 4) if keep_for else None,
                "leased_until": None,
                "skills": sorted(skills),
                "tags": sorted(tags),
                "reason": reason,
                "changed_at": self._now,
            }
        self._touched[conversation] = None
        self._told.append(item_of(row))
        return self._told[-1]

    def _count(self, conversation: str) -> int:
        if self._counts is None:
            rows = self._conn.execute(_COUNTS, {"wanted": self._wanted})
            self._counts = {conversation_id: count for conversation_id, count in rows}
        return self._counts.get(conversation, 0)

    def flush(self, out: Outbox) -> None:
        """Write what was enqueued, and tell of it. Raises StateConflict if somebody came in between."""
        new, changed = [], []
        for conversation in self._touched:
            row = self._open[conversation]
            if conversation in self._before:
                changed.append(row)
            else:
                new.append(row)
        if new:
            write_rows(self._conn, _INSERT, new)
        for row in changed:
            values = {f"new_{name}": row[name] for name in _CHANGING}
            old = self._before[row["conversation_id"]]
            if self._conn.execute(_TAKE_IN, {"item": row["id"], "old": old, **values}).rowcount != 1:
                raise StateConflict(f"work item {row['id']} changed meanwhile")
        out.put_many(self._conn, self._told, new=True)  # whoever changed the row was the only one with that version
        self._told, self._touched = [], {}
        self._before = {conversation: row["version"] for conversation, row in self._open.items()}


_INSERT = work_items.insert()
