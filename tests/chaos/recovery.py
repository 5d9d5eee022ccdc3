"""How long after a fault has healed something moves again, and until nothing accepted before is still undecided."""

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import func, select
from sqlalchemy.engine import Connection

from schemas.errors import TemporaryError
from store.database import Database
from store.tables import history, interactions
from tests.chaos.schedule import Fault
from tests.chaos.town import Town

EVERY_S = 0.1


@dataclass(frozen=True, slots=True)
class Recovery:
    """Seconds from heal until the part that was hit did something again (None: nobody needed it any more), and until
    everything accepted before was decided; `inf`: not within the limit."""

    fault: Fault
    moved_s: float | None
    caught_up_s: float


async def watch(fault: Fault, town: Town, database: Database, limit_s: float) -> Recovery:
    """Begin at the moment of healing."""
    begun, now = time.monotonic(), datetime.now(UTC)
    moves = await _moves(fault, town, database)
    moved = caught_up = None
    while time.monotonic() - begun < limit_s and (moved is None or caught_up is None):
        try:
            if moved is None and await moves():
                moved = time.monotonic() - begun
            if caught_up is None and not await database.read(lambda conn: _undecided(conn, now)):
                caught_up = time.monotonic() - begun
        except TemporaryError:
            pass
        if town.written.is_set() and caught_up is not None:
            break  # at the end of the load nobody needs it any more
        await asyncio.sleep(EVERY_S)
    return Recovery(fault, moved, math.inf if caught_up is None else caught_up)


async def _moves(fault: Fault, town: Town, database: Database):  # type: ignore[no-untyped-def]
    """A question that is answered yes once the part that was hit has done something again."""
    role = fault.target.rstrip("0123456789").rstrip("-")
    if role in ("house", "channels"):
        return _grows(lambda: sum(town.accepted.values()))
    if role == "desk":
        return _grows(lambda: town.claims)
    actor = "sender" if role in ("senders", "smtp") else "router"
    mark = 0
    while not mark:
        try:
            mark = await database.read(lambda conn: conn.scalar(select(func.max(history.c.id)))) or 1
        except TemporaryError:
            await asyncio.sleep(EVERY_S)

    async def moves() -> bool:
        query = select(history.c.id).where(history.c.id > mark, history.c.actor == actor).limit(1)
        return await database.read(lambda conn: conn.scalar(query)) is not None

    return moves


def _grows(count: Callable[[], int]):  # type: ignore[no-untyped-def]
    before = count()

    async def moves() -> bool:
        return count() > before

    return moves


def _undecided(conn: Connection, before: datetime) -> bool:
    query = select(interactions.c.id).where(interactions.c.state == "received", interactions.c.accepted_at < before)
    return conn.scalar(query.limit(1)) is not None


def percentile(values: list[float], share: float) -> float:
    """The value below which `share` of all lie; nan when there are none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")
