"""Leases: who may do a thing now. Each new owner gets a higher epoch, and writes with an older one are refused."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.engine import Connection

from store.sql import insert
from store.tables import leases


def acquire(conn: Connection, names: Sequence[str], owner: str, now: datetime, until: datetime) -> dict[str, int]:
    """Renew what `owner` holds of `names` and take what is free or has run out. Returns name → epoch."""
    for name in names:
        conn.execute(
            insert(conn, leases)
            .values(name=name, owner=owner, epoch=1, until=until)
            .on_conflict_do_update(
                index_elements=["name"],
                set_={
                    "epoch": leases.c.epoch + 1,
                    "owner": owner,
                    "until": until,
                },
                where=(leases.c.owner != owner) & (leases.c.until <= now),
            )
        )
        conn.execute(update(leases).where(leases.c.name == name, leases.c.owner == owner).values(until=until))
    query = select(leases.c.name, leases.c.epoch).where(leases.c.owner == owner, leases.c.name.in_(names))
    return {name: epoch for name, epoch in conn.execute(query)}


def release(conn: Connection, owner: str, now: datetime, prefix: str = "") -> None:
    """Give up everything that `owner` holds, so that the next one need not wait."""
    conn.execute(update(leases).where(leases.c.owner == owner, leases.c.name.startswith(prefix)).values(until=now))
