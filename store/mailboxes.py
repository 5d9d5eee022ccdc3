"""How far each mailbox folder, and each import, has been read: a cursor that only moves over what was accepted."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.engine import Connection

from store import leases
from store.sql import insert
from store.tables import mailbox_cursors


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """Everything up to `position` was accepted, or is not ours."""

    validity: int
    """IMAP's UIDVALIDITY: positions count under this one only. For an import, what tells its source from another."""
    position: int
    """The highest UID below which none is open."""
    backfill_to: int = 0
    """What stood in the folder at the first look, or when its UIDs began anew: taken in, never answered by machine."""
    since: datetime | None = None
    """Mail that arrived earlier is not ours."""


def load(conn: Connection, mailbox: str) -> Cursor | None:
    row = conn.execute(select(mailbox_cursors).where(mailbox_cursors.c.mailbox == mailbox)).one_or_none()
    if row is None:
        return None
    return Cursor(validity=row.validity, position=row.position, backfill_to=row.backfill_to, since=row.since)


def begin(conn: Connection, mailbox: str, cursor: Cursor, now: datetime, *, owner: str = "") -> bool:
    """Write a cursor for a new mailbox, or anew for one whose UIDs count from the beginning again. False if `owner`
    has lost the mailbox's lease."""
    if owner and not leases.holds(conn, mailbox, owner):
        return False
    values = {
        "validity": cursor.validity,
        "position": cursor.position,
        "backfill_to": cursor.backfill_to,
        "since": cursor.since,
        "changed_at": now,
    }
    conn.execute(
        insert(conn, mailbox_cursors)
        .values(mailbox=mailbox, **values)
        .on_conflict_do_update(index_elements=["mailbox"], set_=values)
    )
    return True


def advance(conn: Connection, mailbox: str, validity: int, position: int, now: datetime, *, owner: str = "") -> bool:
    """Move the cursor forward; never back. False if it counts under another validity, or `owner` has lost the lease."""
    if owner and not leases.holds(conn, mailbox, owner):
        return False
    conn.execute(
        update(mailbox_cursors)
        .where(
            mailbox_cursors.c.mailbox == mailbox,
            mailbox_cursors.c.validity == validity,
            mailbox_cursors.c.position < position,
        )
        .values(position=position, changed_at=now)
    )
    known = conn.scalar(select(mailbox_cursors.c.validity).where(mailbox_cursors.c.mailbox == mailbox))
    return known == validity
