"""Small helpers over SQLAlchemy Core that hide the differences between SQLite and PostgreSQL."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Literal, NamedTuple

import orjson
from sqlalchemy import BigInteger, Column, ColumnElement, Insert, LargeBinary, Table, Text, cast, func, type_coerce
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Dialect
from sqlalchemy.types import TypeDecorator

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Moment(TypeDecorator[datetime]):
    """An aware datetime, stored as microseconds since 1970: the same order and precision in every database."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else (value - _EPOCH) // _MICROSECOND

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        return None if value is None else as_moment(value)


def as_moment(microseconds: int) -> datetime:
    """What a `Moment` in the database stands for."""
    return _EPOCH + timedelta(microseconds=microseconds)


@dataclass(frozen=True, slots=True)
class Written:
    """A JSON value that has been written already."""

    json: bytes


class Json(TypeDecorator[Any]):
    """A JSON value, stored as the bytes that orjson writes; `Written` ones as they are."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> bytes | None:
        if isinstance(value, Written):
            return value.json
        return None if value is None else orjson.dumps(value)

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> Any:
        return None if value is None else orjson.loads(value)


def json_text(dialect: str, column: Column[Any], name: str) -> ColumnElement[str]:
    """A text field at the top of a `Json` column. For few rows at a time: each is read whole."""
    if dialect == "postgresql":
        return type_coerce(cast(func.convert_from(column, "UTF8"), postgresql.JSON)[name].astext, Text)
    return type_coerce(func.json_extract(cast(column, Text), f"$.{name}"), Text)


News = Literal["outbox", "deliveries", "broker_lives"]
"""The tables for whose new rows somebody waits."""
_NEWS = "switchboard.news"


def news(conn: Connection, of: News) -> None:
    """Have whoever waits for it told, here and in the other processes, once this transaction is committed."""
    conn.info.setdefault(_NEWS, set()).add(of)


def taken_news(conn: Connection) -> set[News]:
    """What was told of since the last call, to be told once it is committed."""
    told: set[News] = conn.info.pop(_NEWS, set())
    return told


def insert(conn: Connection, table: Table) -> Any:
    """The dialect's own INSERT, which knows ON CONFLICT and RETURNING."""
    return dialect_insert(conn.dialect.name, table)


def dialect_insert(dialect: str, table: Table) -> Any:
    """As `insert`, for statements that are made once per dialect."""
    return (postgresql if dialect == "postgresql" else sqlite).insert(table)


@cache
def _new(dialect: str, table: Table) -> Any:
    """INSERT … ON CONFLICT DO NOTHING, made once: its values come as parameters."""
    return dialect_insert(dialect, table).on_conflict_do_nothing()


def insert_new(conn: Connection, table: Table, **values: Any) -> bool:
    """Insert a row unless its key is taken. True if it was inserted."""
    return bool(conn.execute(_new(conn.dialect.name, table), values).rowcount)


def rows_of(rows: Sequence[Mapping[str, Any]]) -> Any:
    """`rows` as parameters of a statement. A single one goes the short way: as if there were many costs half again."""
    return dict(rows[0]) if len(rows) == 1 else list(rows)


def insert_many_new(conn: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> int:
    """Insert the rows whose key is not taken; how many, where the driver tells, else how many there were at most."""
    if not rows:
        return 0
    count = write_rows(conn, _new(conn.dialect.name, table), rows)
    return count if count >= 0 else len(rows)


def write_rows(conn: Connection, statement: Any, rows: Sequence[Mapping[str, Any]]) -> int:
    """Run an INSERT or UPDATE that is made once, with each of `rows` as its parameters; how many rows it changed, -1
    where the driver doesn't tell. All rows have the same keys. Not for RETURNING.

    SQLAlchemy puts each row of an executemany together again from its statement, which costs several times what
    SQLite needs to write it: here that is worked out once.
    """
    made = _as_text(statement, conn.dialect, tuple(rows[0]))
    values = [made.parameters(row) for row in rows]
    return conn.exec_driver_sql(made.text, values if len(values) > 1 else values[0]).rowcount


class _Text(NamedTuple):
    """A statement as the driver takes it."""

    text: str
    parameters: Callable[[Mapping[str, Any]], Any]
    """A row → what the driver takes for it."""


_texts: dict[tuple[Any, str, tuple[str, ...]], _Text] = {}


def _as_text(statement: Any, dialect: Dialect, names: tuple[str, ...]) -> _Text:
    known = _texts.get((statement, dialect.name, names))
    return known or _texts.setdefault((statement, dialect.name, names), _compile(statement, dialect, names))


def _compile(statement: Any, dialect: Dialect, names: tuple[str, ...]) -> _Text:
    if isinstance(statement, Insert):
        statement = statement.inline()  # nobody asks for the keys that the database makes
    compiled = statement.compile(dialect=dialect, column_keys=names)
    # In the order of their places; a value that stands in the statement itself comes from there.
    places = compiled.positiontup if compiled.positional else list(compiled.binds)
    fixed = {name: compiled.params[name] for name in places if name not in names}
    forms = [(name, compiled.binds[name].type.dialect_impl(dialect).bind_processor(dialect)) for name in places]

    def in_order(row: Mapping[str, Any]) -> tuple[Any, ...]:
        values = {**fixed, **row} if fixed else row
        return tuple([values[name] if form is None else form(values[name]) for name, form in forms])

    def by_name(row: Mapping[str, Any]) -> dict[str, Any]:
        return dict(zip(places, in_order(row), strict=True))

    return _Text(compiled.string, in_order if compiled.positional else by_name)


def insert_row(conn: Connection, table: Table, **values: Any) -> None:
    """Insert a row. Raises IntegrityError when its key is taken."""
    conn.execute(_plain(table), values)


@cache
def _plain(table: Table) -> Any:
    return table.insert()
