"""Lives of a broker that keeps its data but may lose some of it: each time that it has, a new life begins.

All processes read the number here. It is a part of the incarnation, so that what was forgotten is published again,
and of the names of our consumers' groups, so that each of them starts at the earliest record.
"""

from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.engine import Connection

from store.sql import insert_new, news
from store.tables import broker_lives


def current(conn: Connection, cluster: str) -> int:
    """The number of the cluster's life; 1 for one that has never lost anything."""
    return conn.scalar(select(broker_lives.c.life).where(broker_lives.c.cluster == cluster)) or 1


def begin(conn: Connection, cluster: str, after: int, now: datetime) -> int:
    """Begin the life that follows `after`, unless somebody else has; gives the number of the current one."""
    insert_new(conn, broker_lives, cluster=cluster, life=1, since=now)
    change = (
        update(broker_lives)
        .where(broker_lives.c.cluster == cluster, broker_lives.c.life == after)
        .values(life=after + 1, since=now)
    )
    if conn.execute(change).rowcount:
        news(conn, "broker_lives")
    return current(conn, cluster)
