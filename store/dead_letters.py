"""Dead letters: what could not be processed, with its bytes, the reason and a way to replay it."""

from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import func, select, update
from sqlalchemy.engine import Connection

from schemas.dead_letter import DeadLetter, Place
from store.sql import insert_new
from store.tables import dead_letters

State = Literal["open", "replayed", "discarded"]


@dataclass(frozen=True, slots=True)
class Stored:
    letter: DeadLetter
    state: State


def add(conn: Connection, letter: DeadLetter) -> bool:
    """Keep a dead letter. False if it is known already."""
    return insert_new(
        conn,
        dead_letters,
        id=letter.id if letter.round == 1 else f"{letter.id}:round:{letter.round}",
        conversation_id=letter.conversation_id,
        interaction_id=letter.interaction_id,
        round=letter.round,
        reason=letter.reason,
        detail=letter.detail,
        place=letter.place.model_dump(mode="json"),
        headers=[[name, value.decode("latin-1")] for name, value in letter.headers],
        raw=letter.raw,
        dataref=letter.dataref,
        media_type=letter.media_type,
        state="open",
        at=letter.at,
    )


def get(conn: Connection, letter_id: str) -> Stored | None:
    row = conn.execute(select(dead_letters).where(dead_letters.c.id == letter_id)).one_or_none()
    return None if row is None else _stored(row)


def listing(conn: Connection, state: State | None, limit: int) -> list[Stored]:
    query = select(dead_letters).order_by(dead_letters.c.at.desc()).limit(limit)
    if state is not None:
        query = query.where(dead_letters.c.state == state)
    return [_stored(row) for row in conn.execute(query)]


def open_count(conn: Connection) -> int:
    return conn.scalar(select(func.count()).where(dead_letters.c.state == "open")) or 0


def settle(conn: Connection, letter_id: str, state: State) -> bool:
    """Mark an open dead letter as replayed or discarded. False if it is not open."""
    return bool(
        conn.execute(
            update(dead_letters)
            .where(dead_letters.c.id == letter_id, dead_letters.c.state == "open")
            .values(state=state)
        ).rowcount
    )


def _stored(row: Any) -> Stored:
    letter = DeadLetter.model_construct(
        id=row.id,
        conversation_id=row.conversation_id,
        interaction_id=row.interaction_id,
        round=row.round,
        reason=row.reason,
        detail=row.detail,
        place=Place.model_validate(row.place),
        headers=tuple((name, value.encode("latin-1")) for name, value in row.headers),
        raw=row.raw,
        dataref=row.dataref,
        media_type=row.media_type,
        at=row.at,
    )
    return Stored(letter, row.state)
