"""`rules dry-run`: a draft over what was recorded, in pages, decided in processes of its own. Nothing is written."""

import asyncio
import gc
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from datetime import UTC, datetime
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from rules.cases import moment
from rules.model import PolicySource
from schemas.durations import parse_duration
from schemas.errors import ConfigError, SwitchboardError
from store import policies, recorded
from switchboard.base import opened
from switchboard.cli.app import configuration, quiet_logs
from switchboard.cli.output import Json, emit, err, table
from switchboard.cli.rules_inputs import policy_from
from switchboard.dry_run import Found, compare_page
from switchboard.settings import Configuration

PAGE = 2000
PAGE_TIMEOUT_S = 120.0


def dry_run(
    draft: Annotated[Path, typer.Argument(help="A folder of rules, or of a whole configuration.")],
    since: Annotated[str, typer.Option("--since", help="How far back: 7d, 12h, or an ISO moment.")] = "7d",
    json: Json = False,
) -> None:
    """Say what a draft would have decided otherwise, with the facts of the moment. Nothing is changed."""
    quiet_logs()
    found, source = configuration(), policy_from(draft)
    first = _since(since)
    begun = time.perf_counter()

    columns = (TextColumn("dry-run"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=err, transient=True, disable=not err.is_terminal)

    with _pool(os.cpu_count() or 1) as pool, bar:
        task = bar.add_task("dry-run")
        comparing = run(
            found,
            source,
            first,
            pool,
            begin=lambda total: bar.update(task, total=total),
            progress=lambda done: bar.update(task, completed=done),
        )
        result = asyncio.run(comparing)
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
    unread = f", {result.unread} cannot be read" if result.unread else ""
    err.print(f"{result.looked_at} interactions, {result.changed} would change{unread} ({took:.1f} s)")


def _since(written: str) -> datetime:
    try:
        return datetime.now(UTC) - parse_duration(written)
    except (ValueError, OverflowError):
        try:
            return moment(written)
        except ValueError as error:
            raise ConfigError([f"--since: {error}"], hint="or how far back: 7d, 12h") from None


async def run(
    configured: Configuration, draft: PolicySource, since: datetime, pool: Executor,
    *, begin: Callable[[int], None], progress: Callable[[int], None],
) -> Found:  # fmt: skip
    """Compare all that was accepted since then; the pool's processes read the store themselves. `begin` is told how
    many interactions there are, `progress` how many are done. Raises StoreUnavailable, SwitchboardError."""
    async with opened(configured, read_only=True) as base:
        database = base.database
        total = await database.read(lambda conn: recorded.count(conn, since))
        places = await database.read(lambda conn: recorded.places(conn, since, PAGE))
        active = await database.read(lambda conn: policies.body(conn, policies.active_version(conn)))
    begin(total)
    store = configured.settings.store.url, configured.data_dir
    work = partial(compare_page, store, active, draft.to_json(), size=PAGE)
    loop, whole = asyncio.get_running_loop(), Found()
    pages = [loop.run_in_executor(pool, partial(work, place=place)) for place in places]
    try:
        for number, page in enumerate(pages, start=1):
            async with asyncio.timeout(PAGE_TIMEOUT_S):
                whole.add(await page)
            progress(min(total, number * PAGE))
    except (BrokenProcessPool, TimeoutError) as error:
        what = "took too long" if isinstance(error, TimeoutError) else "died; the memory may not do"
        raise SwitchboardError(f"a process that decides {what}", hint="look less far back: --since 1d") from error
    finally:
        for page in pages:
            page.cancel()
    return whole


def _pool(processes: int) -> ProcessPoolExecutor:
    """Processes that start at once: copies of this one, which knows the rules already, where that is safe. (Made before
    any thread is: a copy has only the thread that made it.) Their collector leaves alone what they begin with."""
    context = get_context("fork" if sys.platform == "linux" else "spawn")
    pool = ProcessPoolExecutor(processes, mp_context=context, initializer=gc.freeze)
    for _ in range(processes):
        pool.submit(Found)
    return pool
