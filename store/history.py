"""The append-only record of what happened to an interaction or a conversation, with its actor."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.engine import Connection

from store.sql import write_rows
from store.tables import history

_INSERT = history.insert()


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of history. `actor` is a part of the house (`router`, `sender`) or `agent:NAME`."""

    event: str
    actor: str
    conversation_id: str
    at: datetime
    interaction_id: str | None = None
    detail: Mapping[str, Any] | None = None


def record(conn: Connection, entries: Sequence[Entry]) -> None:
    if entries:
        rows = [
            {
                "interaction_id": e.interaction_id,
                "conversation_id": e.conversation_id,
                "at": e.at,
                "event": e.event,
                "actor": e.actor,
                "detail": dict(e.detail) if e.detail else None,
            }
            for e in entries
        ]
        write_rows(conn, _INSERT, rows)


def of_interaction(conn: Connection, interaction_id: str, conversation_id: str) -> list[Entry]:
    """Everything about the interaction, and what concerns its conversation as a whole, oldest first."""
    query = (
        select(history)
        .where(
            or_(
                history.c.interaction_id == interaction_id,
                (history.c.conversation_id == conversation_id) & history.c.interaction_id.is_(None),
            )
        )
        .order_by(history.c.at, history.c.id)
    )
    return [
        Entry(
            event=row.event,
            actor=row.actor,
            conversation_id=row.conversation_id,
            at=row.at,
            interaction_id=row.interaction_id,
            detail=row.detail,
        )
        for row in conn.execute(query)
    ]
