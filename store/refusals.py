"""What was refused to its sender: counted, because it was never accepted."""

from sqlalchemy.engine import Connection

from store.sql import insert
from store.tables import refusals


def count(conn: Connection, channel: str, account: str, reason: str) -> None:
    conn.execute(
        insert(conn, refusals)
        .values(channel=channel, account=account, reason=reason[:64], count=1)
        .on_conflict_do_update(index_elements=["channel", "account", "reason"], set_={"count": refusals.c.count + 1})
    )
