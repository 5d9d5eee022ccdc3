"""How commands print: tables for people, one JSON object a line with `--json`. Data on stdout, the rest on stderr."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

Json = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=100_000, help="At most this many.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do it without asking.")]

err = Console(stderr=True)


def out() -> Console:
    """The console for data. Made when needed, so that it sees the terminal as it is; wide where there is none."""
    return Console() if sys.stdout.isatty() else Console(width=220, soft_wrap=True)


def emit(rows: Iterable[Mapping[str, Any]]) -> None:
    for row in rows:
        sys.stdout.write(orjson.dumps(row, default=_plain).decode() + "\n")


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    made = Table(title=title, title_justify="left", header_style="bold", show_edge=False, pad_edge=False)
    for column in columns:
        # What people copy stays in one piece.
        made.add_column(column, overflow="fold", no_wrap=column in ("id", "reference", "channel", "state"))
    for row in rows:
        made.add_row(*(escape(_text(cell)) for cell in row))
    out().print(made)


def show(
    rows: Sequence[Mapping[str, Any]], *, title: str, columns: Sequence[str], json: bool, empty: str = "Nothing."
) -> None:
    """The same rows as JSON or as a table of `columns`."""
    if json:
        emit(rows)
    elif rows:
        table(title, columns, ([row.get(column, "") for column in columns] for row in rows))
    else:
        err.print(empty)


def confirmed(question: str, yes: bool) -> None:
    """Ask, unless `--yes` was given. Without a terminal the answer is no."""
    if yes:
        return
    if not sys.stdin.isatty():
        err.print(f"{question} Say --yes to do it.")
        raise typer.Exit(2)
    typer.confirm(question, abort=True, err=True)


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, (set, frozenset, tuple)):
        return list(value)
    return str(value)


def _text(value: Any) -> str:
    if isinstance(value, datetime):
        return value.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)
