"""How SQLite finds what the statements of this process ask for: which of them read a whole table."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine

_SCAN = re.compile(r"SCAN (\w+)")


@dataclass
class Plans:
    """Statement → the tables that it reads from end to end. Partial indexes hold little: read whole, they count as
    found."""

    scans: dict[str, set[str]] = field(default_factory=dict)

    def of(self, *tables: str) -> set[str]:
        """The statements that read one of these tables whole."""
        return {statement for statement, read in self.scans.items() if read.intersection(tables)}


@contextmanager
def watched(*, partial: frozenset[str]) -> Iterator[Plans]:
    """Look at every statement that runs on SQLite meanwhile. `partial`: the names of the partial indexes."""
    plans = Plans()

    def after(conn: Any, cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:
        if (
            conn.dialect.name != "sqlite"
            or statement in plans.scans
            or not re.match(r"\s*(SELECT|UPDATE|DELETE)", statement)
        ):
            return
        values = parameters[0] if many and parameters else parameters
        rows = cursor.connection.execute(f"EXPLAIN QUERY PLAN {statement}", values).fetchall()
        plans.scans[statement] = {
            found[1] for row in rows if (found := _SCAN.match(row[3])) and not partial.intersection(row[3].split())
        }

    event.listen(Engine, "after_cursor_execute", after)
    try:
        yield plans
    finally:
        event.remove(Engine, "after_cursor_execute", after)
