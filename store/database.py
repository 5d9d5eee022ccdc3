"""The one door to the database: units of work go in, results come out.

A *unit of work* is a plain function over a SQLAlchemy `Connection`. It may be run more than once (a neighbour in its
batch failed, a deadlock, a lost connection) and in another thread, so it must touch nothing but the connection.
"""

from collections.abc import Callable, Collection
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from sqlalchemy.engine import URL, Connection, make_url

from schemas.errors import ConfigError
from store.engine import Engine
from store.postgres import PostgresEngine
from store.sql import News
from store.sqlite import SqliteEngine

T = TypeVar("T")


class Database:
    """Open with `async with Database.at(url, data_dir)`; `read_only=True` never writes (the router host)."""

    def __init__(self, url: URL, *, read_only: bool) -> None:
        self.url = url
        self.read_only = read_only
        self.is_sqlite = url.get_backend_name() == "sqlite"
        self._listeners: list[tuple[Callable[[], None], News | None]] = []
        make = SqliteEngine if self.is_sqlite else PostgresEngine
        self._engine: Engine = make(url, read_only=read_only, changed=self._changed)

    @classmethod
    def at(cls, url: str, data_dir: Path, *, read_only: bool = False) -> Self:
        """`sqlite:///x.db` (below data_dir) or `postgresql://…`. Raises ConfigError."""
        return cls(_located(url, data_dir), read_only=read_only)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def place(self) -> str:
        """Where it is, without who signs in and how."""
        place = URL.create(self.url.drivername, host=self.url.host, port=self.url.port, database=self.url.database)
        return place.render_as_string()

    async def start(self) -> None:
        """Connect, assert the safe settings, start the writer. Raises StoreUnavailable, and ConfigError where the
        server is there and lets nobody in as we come."""
        await self._engine.start()

    async def stop(self) -> None:
        """Commit what was handed in, then close every connection."""
        await self._engine.stop()

    def on_commit(self, listener: Callable[[], None], of: News | None = None) -> None:
        """Call `listener` (quick, synchronous) after each commit of this process, and when another one has news; with
        `of`, only when there may be news of that."""
        self._listeners.append((listener, of))

    def off_commit(self, listener: Callable[[], None]) -> None:
        """Call it no more."""
        self._listeners = [known for known in self._listeners if known[0] != listener]

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` on one snapshot of the database. Raises StoreUnavailable when the database is away."""
        return await self._engine.read(work)

    async def look(self, work: Callable[[Connection], T]) -> T:
        """As `read`, for a `work` of a single statement, which needs no transaction: what is asked all the time."""
        return await self._engine.look(work)

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a transaction; when this returns, it is on disk. Raises StoreUnavailable, or what `work`
        raises."""
        if self.read_only:
            raise RuntimeError("this process opened the store to read")
        return await self._engine.write(work)

    def _changed(self, told: Collection[News] | None) -> None:
        """None: there may be news of anything."""
        for listener, of in self._listeners:
            if of is None or told is None or of in told:
                listener()


def _located(url: str, data_dir: Path) -> URL:
    parsed = make_url(url)
    backend = parsed.get_backend_name()
    if backend == "sqlite":
        if not parsed.database:
            raise ConfigError(["store.url: an SQLite store needs a file, such as sqlite:///switchboard.db"])
        return parsed.set(database=str(data_dir / parsed.database))
    if backend == "postgresql":
        return parsed
    raise ConfigError([f"store.url: {backend!r} is not supported; use sqlite or postgresql"])
