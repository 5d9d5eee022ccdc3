"""`rules dry-run`: a draft over what was recorded, in pages, decided in processes of its own. Nothing is written."""

import asyncio
import os
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from rules.cases import moment
from rules.model import PolicySource
from schemas.durations import parse_duration
from schemas.errors import ConfigError
from store import policies, recorded
from store.database import Database
from switchboard.base import opened
from switchboard.cli.app import configuration, quiet_logs
from switchboard.cli.output import Json, emit, err, table
from switchboard.cli.rules_inputs import policy_from
from switchboard.dry_run import Found, compare

PAGE = 2000
PAGE_TIMEOUT_S = 120.0
AHEAD = 2
"""Pages that are read before each process asks for them."""


def dry_run(
    draft: Annotated[Path, typer.Argument(help="A folder of rules, or of a whole configuration.")],
    since: Annotated[str, typer.Option("--since", help="How far back: 7d, 12h, or an ISO moment.")] = "7d",
    json: Json = False,
) -> None:
    """Say what a draft would have decided otherwise, with the facts of the moment. Nothing is changed."""
    quiet_logs()
    found, source = configuration(), policy_from(draft)
    begin = _since(since)
    begun = time.perf_counter()

    columns = (TextColumn("dry-run"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=err, transient=True, disable=not err.is_terminal)

    async def work() -> Found:
        task = bar.add_task("dry-run")
        async with opened(found, read_only=True) as base:
            return await run(
                base.database,
                source,
                begin,
                processes=os.cpu_count() or 1,
                begin=lambda total: bar.update(task, total=total),
                progress=lambda done: bar.update(task, completed=done),
            )

    with bar:
        result = asyncio.run(work())
    took = time.perf_counter() - begun
    made = result.as_json()
    if json:
        emit([{"draft": source.version, "seconds": round(took, 2), **made}])
        return
    rows: list[list[Any]] = []
    for move in made["moves"]:
        told = "; ".join(f"{one['reference']} {one['subject'][:40]!r}" for one in move["examples"])
        rows.append([move["kind"], move["before"] or "–", move["after"] or "–", move["count"], told])
    if rows:
        table("What would change", ("kind", "before", "after", "count", "examples"), rows)
    err.print(f"{result.looked_at} interactions, {result.changed} would change ({took:.1f} s)")


def _since(written: str) -> datetime:
    try:
        return datetime.now(UTC) - parse_duration(written)
    except (ValueError, OverflowError):
        try:
            return moment(written)
        except ValueError as error:
            raise ConfigError([f"--since: {error}"], hint="or how far back: 7d, 12h") from None


async def run(
    database: Database, draft: PolicySource, since: datetime, *, processes: int,
    begin: Callable[[int], None] = lambda total: None, progress: Callable[[int], None] = lambda done: None,
) -> Found:  # fmt: skip
    """Compare all that was accepted since then. A few pages are decided here: a process of its own takes a second to
    begin. `begin` is told how many interactions there are, `progress` how many are done."""
    total = await database.read(lambda conn: recorded.count(conn, since))
    begin(total)
    whole = Found()
    with _pool(processes) if total > 2 * PAGE else nullcontext() as pool:
        active = await database.read(lambda conn: policies.body(conn, policies.active_version(conn)))
        both, waiting, done = (active, draft.to_json()), deque[tuple[int, asyncio.Future[Found]]](), 0
        place: recorded.Place | None = (since, "")

        async def finished() -> int:
            size, future = waiting.popleft()
            async with asyncio.timeout(PAGE_TIMEOUT_S):
                whole.add(await future)
            return size

        while place is not None:
            page = await database.read(lambda conn, place=place: recorded.page(conn, place, PAGE))  # type: ignore[misc]
            place = page.end
            future = asyncio.get_running_loop().run_in_executor(pool, compare, *both, page.recorded)
            waiting.append((page.looked_at, future))
            if len(waiting) > processes * AHEAD:
                done += await finished()
                progress(done)
        while waiting:
            done += await finished()
            progress(done)
    return whole


def _pool(processes: int) -> ProcessPoolExecutor:
    """Processes that are starting while the first page is read."""
    pool = ProcessPoolExecutor(processes, mp_context=get_context("spawn"))
    for _ in range(processes):
        pool.submit(Found)
    return pool
