"""Leases: who may do a thing now. Each new owner gets a higher epoch, and writes with an older one are refused."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import bindparam, func, select, update
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
    return _held(conn, names, owner)


def share(
    conn: Connection,
    names: Sequence[str],
    owner: str,
    now: datetime,
    until: datetime,
    *,
    members: str,
    most: int | None,
) -> dict[str, int]:
    """As `acquire`, but only this owner's fair share of `names` (and at most `most`): what is above it is given up.

    Owners count each other by a lease below `members` that each renews here; one that falls silent is counted until
    it runs out. Returns name → epoch.
    """
    conn.execute(leases.delete().where(leases.c.name.startswith(members), leases.c.until <= now))
    acquire(conn, [members + owner], owner, now, until)
    count = conn.scalar(select(func.count()).where(leases.c.name.startswith(members))) or 1
    want = -(-len(names) // count)
    if most is not None:
        want = min(want, most)
    mine = _held(conn, names, owner)
    surplus = list(mine)[want:]
    if surplus:
        conn.execute(
            update(leases).where(leases.c.name.in_(surplus), leases.c.owner == owner).values(until=now, owner="")
        )
    kept = acquire(conn, list(mine)[:want], owner, now, until)
    if len(kept) < want:
        free = select(leases.c.name).where(leases.c.name.in_(names), leases.c.until > now, leases.c.owner != owner)
        taken = set(conn.scalars(free))
        open_ = [name for name in names if name not in taken and name not in kept]
        kept |= acquire(conn, open_[: want - len(kept)], owner, now, until)
    return kept


def renew(conn: Connection, name: str, owner: str, until: datetime) -> bool:
    """Extend a lease that nobody has taken or ended. False if it is lost."""
    return bool(
        conn.execute(update(leases).where(leases.c.name == name, leases.c.owner == owner).values(until=until)).rowcount
    )


def holds(conn: Connection, name: str, owner: str) -> bool:
    """True if the lease is `owner`'s; it cannot be taken or ended before this transaction has."""
    return conn.scalar(_HOLDS, {"lease": name, "by": owner}) is not None


_HOLDS = (
    select(leases.c.epoch)
    .where(leases.c.name == bindparam("lease"), leases.c.owner == bindparam("by"))
    .with_for_update(read=True)
)


def end(conn: Connection, prefix: str, now: datetime, *, besides: str = "") -> list[str]:
    """End every lease below `prefix` that has run out; gives the owners. Who has lost one cannot renew it."""
    run_out = (
        select(leases.c.name)
        .where(leases.c.name.startswith(prefix), leases.c.until <= now, leases.c.owner != besides)
        .with_for_update(skip_locked=True)
    )
    names = list(conn.scalars(run_out))
    return list(conn.scalars(leases.delete().where(leases.c.name.in_(names)).returning(leases.c.owner)))


def evict(conn: Connection, owner: str, now: datetime, prefix: str) -> None:
    """Let everybody else's leases run out now: the caller knows that there is nobody else."""
    conn.execute(
        update(leases)
        .where(leases.c.name.startswith(prefix), leases.c.owner != owner, leases.c.until > now)
        .values(until=now)
    )


def release(conn: Connection, owner: str, now: datetime, prefix: str = "") -> None:
    """Give up everything that `owner` holds, so that the next one need not wait."""
    conn.execute(update(leases).where(leases.c.owner == owner, leases.c.name.startswith(prefix)).values(until=now))


def _held(conn: Connection, names: Sequence[str], owner: str) -> dict[str, int]:
    query = select(leases.c.name, leases.c.epoch).where(leases.c.owner == owner, leases.c.name.in_(names))
    return {name: epoch for name, epoch in conn.execute(query.order_by(leases.c.name))}
