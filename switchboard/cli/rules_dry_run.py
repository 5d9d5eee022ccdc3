"""A draft over what was recorded, read in pages and decided in processes of its own. Nothing is written."""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from datetime import datetime
from multiprocessing import get_context

from rules.model import PolicySource
from store import policies, recorded
from store.database import Database
from switchboard.dry_run import Found, compare

PAGE = 2000
PAGE_TIMEOUT_S = 120.0
AHEAD = 2
"""Pages that are read before each process asks for them."""


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
