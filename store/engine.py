"""What a database behind the door offers, and which errors say that it is away."""

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

T = TypeVar("T")

BUSY_TIMEOUT_S = 10.0
CALL_TIMEOUT_S = 30.0
_AWAY = ("08", "53", "57P", "58", "55P03", "25006", "XX")
"""Classes of SQLSTATE that say something about the server, nothing about the work."""


class Engine(Protocol):
    """The three calls raise StoreUnavailable when the database is away, else what `work` raises."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def read(self, work: Callable[[Connection], T]) -> T: ...

    async def look(self, work: Callable[[Connection], T]) -> T: ...

    async def write(self, work: Callable[[Connection], T]) -> T: ...


def is_away(error: BaseException) -> bool:
    """True if the database could not be asked, whatever the question was."""
    if isinstance(error, OSError | TimeoutError | PoolTimeout | OperationalError | InterfaceError):
        return True
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    # The driver's own errors come out bare when they happen while connecting.
    return sqlstate(error).startswith(_AWAY) or type(error).__module__.startswith("asyncpg.")


def reason(error: BaseException) -> str:
    """The driver's own words, without what SQLAlchemy adds for programmers."""
    return str(getattr(error, "orig", None) or error) or type(error).__name__


def sqlstate(error: BaseException) -> str:
    found: Any = getattr(getattr(error, "orig", error), "sqlstate", None)
    return found if isinstance(found, str) else ""
