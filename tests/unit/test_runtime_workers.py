import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from runtime.workers import WorkerCrashed, WorkerPool, WorkerRaised, WorkersUnavailable, WorkerTimeout
from tests.kit.processes import gone


@asynccontextmanager
async def pool(target: str, size: int = 1, deadline_s: float = 5.0) -> AsyncIterator[WorkerPool]:
    workers = WorkerPool(target, size=size, deadline_s=deadline_s)
    await workers.start()
    pids = workers.pids
    try:
        yield workers
    finally:
        await workers.drain()
        await workers.stop()
        assert workers.pids == []
        assert await gone(pids)


async def test_runs_tasks_side_by_side_and_survives_prints_and_big_payloads() -> None:
    async with pool("tests.kit.workloads:echo", size=2) as workers:
        big = os.urandom(3_000_000)
        answers = await asyncio.gather(*(workers.run(p) for p in (b"abc", b"", big, b"xy")))
        assert answers == [b"cba", b"", big[::-1], b"yx"]


async def test_a_task_over_its_deadline_costs_that_worker_alone() -> None:
    async with pool("tests.kit.workloads:obey", size=2, deadline_s=0.6) as workers:
        before = set(workers.pids)
        hang, fine = await asyncio.gather(workers.run(b"hang"), workers.run(b"sleep 0.2"), return_exceptions=True)
        assert isinstance(hang, WorkerTimeout)
        assert isinstance(fine, bytes)
        assert int(fine) in before
        async with asyncio.timeout(5):
            while len(workers.pids) < 2:
                assert int(await workers.run(b"who")) > 0
        assert len(before & set(workers.pids)) == 1


async def test_a_task_that_computes_for_ever_is_killed_by_its_own_time() -> None:
    async with pool("tests.kit.workloads:obey", deadline_s=0.3) as workers:
        with pytest.raises(WorkerTimeout):
            await workers.run(b"spin")


async def test_a_worker_that_gets_no_processor_is_waited_for() -> None:
    """On a machine that is busy enough, two seconds pass before a small mail is read: it must be read all the same."""
    async with pool("tests.kit.workloads:obey", deadline_s=0.3) as workers:
        [pid] = workers.pids
        os.kill(pid, signal.SIGSTOP)
        task = asyncio.create_task(workers.run(b"who"))
        await asyncio.wait({task}, timeout=0.7)
        os.kill(pid, signal.SIGCONT)
        assert int(await task) == pid


async def test_death_and_errors_of_a_task_are_told_apart() -> None:
    async with pool("tests.kit.workloads:obey") as workers:
        with pytest.raises(WorkerCrashed):
            await workers.run(b"die")
        first = await workers.run(b"who")
        with pytest.raises(WorkerRaised, match="ValueError: as told"):
            await workers.run(b"raise")
        with pytest.raises(WorkerRaised, match="RecursionError"):
            await workers.run(b"deep")
        assert await workers.run(b"who") == first, "an error costs no worker"


async def test_a_cancelled_task_never_leaves_its_answer_to_the_next() -> None:
    async with pool("tests.kit.workloads:obey") as workers:
        task = asyncio.create_task(workers.run(b"sleep 0.3"))
        await asyncio.sleep(0.1)
        old = workers.pids
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert int(await workers.run(b"who")) not in old


async def test_a_worker_killed_while_idle_is_told_and_replaced() -> None:
    async with pool("tests.kit.workloads:obey") as workers:
        os.kill(workers.pids[0], signal.SIGKILL)
        with pytest.raises(WorkerCrashed):
            await workers.run(b"who")
        assert int(await workers.run(b"who")) > 0


async def test_a_target_that_cannot_be_imported_fails_the_start() -> None:
    workers = WorkerPool("tests.kit.nowhere:f", size=1, deadline_s=1)
    with pytest.raises(WorkersUnavailable, match="nowhere"):
        await workers.start()
    await workers.stop()


async def test_a_stopped_pool_takes_nothing() -> None:
    async with pool("tests.kit.workloads:echo") as workers:
        await workers.drain()
        with pytest.raises(WorkersUnavailable):
            await workers.run(b"x")


PARENT = """
import asyncio, sys
sys.path.insert(0, {root!r})
from runtime.workers import WorkerPool
async def main():
    pool = WorkerPool("tests.kit.workloads:obey", size=2, deadline_s=60)
    await pool.start()
    busy = asyncio.create_task(pool.run(b"hang"))
    await asyncio.sleep(0.2)
    print(*pool.pids, flush=True)
    await busy
asyncio.run(main())
"""


async def test_workers_die_with_a_parent_that_is_killed() -> None:
    root = os.getcwd()
    parent = subprocess.Popen([sys.executable, "-c", PARENT.format(root=root)], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    pids = [int(word) for word in (await asyncio.to_thread(parent.stdout.readline)).split()]
    assert len(pids) == 2
    parent.kill()
    parent.wait()
    parent.stdout.close()
    begun = time.monotonic()
    assert await gone(pids)
    assert time.monotonic() - begun < 5
