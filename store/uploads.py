"""Files that agents have brought for answers: which are used by one, and which nobody has needed."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import delete, select, update
from sqlalchemy.engine import Connection

from schemas.errors import StateConflict
from store.sql import insert_many_new, insert_row
from store.tables import uploads

WAITING, USED, GOING = "waiting", "used", "going"


class UploadGone(StateConflict):
    """An answer names a file that was removed, because no answer had needed it for so long."""


def add(conn: Connection, dataref: str, now: datetime) -> None:
    """Before its bytes are written, so that none lie there that nobody knows of."""
    insert_row(conn, uploads, dataref=dataref, at=now, state=WAITING)


def use(conn: Connection, datarefs: Collection[str]) -> None:
    """An answer has them: they stay. Raises UploadGone."""
    wanted = set(datarefs)
    here = uploads.c.dataref.in_(wanted) & (uploads.c.state != GOING)
    if conn.execute(update(uploads).where(here).values(state=USED)).rowcount != len(wanted):
        raise UploadGone("a file is no longer here: no answer had used it", hint="upload it again")


def keep(conn: Connection, datarefs: Collection[str], now: datetime) -> None:
    """An answer that had them was withdrawn: another one may use them, as if they had come now."""
    rows = [{"dataref": each, "at": now, "state": USED} for each in datarefs]
    insert_many_new(conn, uploads, rows)
    conn.execute(update(uploads).where(uploads.c.dataref.in_(datarefs)).values(at=now))


def sweep(conn: Connection, before: datetime, limit: int) -> list[str]:
    """Of what came before, the files to remove: no answer uses them, and from now on none will."""
    conn.execute(delete(uploads).where(uploads.c.state == USED, uploads.c.at < before))  # answers know them by now
    waiting = select(uploads.c.dataref).where(uploads.c.state == WAITING, uploads.c.at < before).limit(limit)
    conn.execute(update(uploads).where(uploads.c.dataref.in_(waiting), uploads.c.state == WAITING).values(state=GOING))
    return list(conn.scalars(select(uploads.c.dataref).where(uploads.c.state == GOING).limit(limit)))


def removed(conn: Connection, datarefs: Collection[str]) -> None:
    """The files are no more."""
    conn.execute(delete(uploads).where(uploads.c.dataref.in_(datarefs), uploads.c.state == GOING))
