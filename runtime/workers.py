"""Worker processes of our own, which can be killed one by one.

Hostile input can keep a C extension busy for minutes, where neither a signal nor a cancelled task gets in.
So such work runs in a process with a deadline, over pipes. (One kill in a ProcessPoolExecutor breaks it
for its neighbours and for everything that comes after.)
"""

import asyncio
import contextlib
import fcntl
import json
import os
import sys
import time

from runtime.logs import get_logger
from runtime.tasks import TaskOwner
from runtime.worker_main import ERROR, HEAD, READY, RESULT
from schemas.errors import SwitchboardError, TemporaryError

_MAX_FRAME = 256 * 1024 * 1024
_START_TIMEOUT_S = 30.0
_PIPE = 1024 * 1024
_PATIENCE = 5
"""How many deadlines may pass on the wall clock while the worker gets no processor."""
_BOOT = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from runtime.worker_main import main
main(sys.argv[2], int(sys.argv[3]))
"""

log = get_logger(__name__)


class WorkerTimeout(SwitchboardError):
    """The task took longer than its deadline. Its worker was killed; the same input would do it again."""


class WorkerCrashed(SwitchboardError):
    """The worker died of the task (a segmentation fault, out of memory, an exit)."""


class WorkerRaised(SwitchboardError):
    """The function raised. `str()` is the error's type and text."""


class WorkersUnavailable(TemporaryError):
    """No worker could be started, or the pool is stopped."""


class _Worker:
    """One process. Not ready until `prepare` returns; spoiled for good by any error or cancellation."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.process = process
        self._in, self._out = process.stdin, process.stdout
        _widen(self._in.transport)
        self._prepared = False

    async def prepare(self) -> None:
        if not self._prepared:
            async with asyncio.timeout(_START_TIMEOUT_S):
                kind, body = await self._read()
            if kind != READY:
                raise WorkersUnavailable(f"a worker did not start: {body.decode('utf-8', 'replace')}")
            self._prepared = True

    async def ask(self, payload: bytes) -> tuple[int, bytes]:
        self._in.write(HEAD.pack(RESULT, len(payload)))
        self._in.write(payload)
        await self._in.drain()
        return await self._read()

    async def _read(self) -> tuple[int, bytes]:
        kind, length = HEAD.unpack(await self._out.readexactly(HEAD.size))
        if length > _MAX_FRAME:
            raise EOFError("a frame over the limit")
        return kind, await self._out.readexactly(length)

    async def kill(self) -> None:
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
        self._in.close()
        async with asyncio.timeout(5.0):
            await self.process.wait()

    async def end(self, timeout: float) -> None:
        """Close its input, which makes it leave by itself; kill it if it does not."""
        self._in.close()
        try:
            async with asyncio.timeout(timeout):
                await self.process.wait()
        except TimeoutError:
            await self.kill()


class WorkerPool:
    """Service: `size` processes run `target` ("module:function", bytes -> bytes), each one task at a time.

    `deadline_s` counts from the moment a worker has the task; waiting for a free worker is not part of it, nor, on a
    busy machine, is waiting for a processor: what counts is the worker's own time, and five times that on the clock.
    The children get our sys.path, die with us (even when we are killed) and share nothing with each other.
    """

    def __init__(self, target: str, *, size: int, deadline_s: float, name: str = "workers") -> None:
        self.name = name
        self._target = target
        self._size = size
        self._deadline_s = deadline_s
        self._idle: asyncio.Queue[_Worker | None] = asyncio.Queue()
        self._alive: set[_Worker] = set()
        self._tasks = TaskOwner()
        self._stopping = False

    @property
    def pids(self) -> list[int]:
        """The processes that are alive."""
        return [w.process.pid for w in self._alive if w.process.returncode is None]

    async def start(self) -> None:
        """Start all and return when each has imported its target."""
        workers = [await self._spawn() for _ in range(self._size)]
        try:
            for worker in workers:
                await worker.prepare()
        except (EOFError, TimeoutError) as error:
            raise WorkersUnavailable(f"{self.name}: a worker did not start: {error!r}") from error
        for worker in workers:
            self._idle.put_nowait(worker)

    async def drain(self) -> None:
        """Take no new task. Those that run have their own deadline."""
        self._stopping = True

    async def stop(self) -> None:
        self._stopping = True
        await self._tasks.cancel_all(6.0)
        workers = list(self._alive)
        self._alive.clear()
        await asyncio.gather(*(worker.end(1.0) for worker in workers), return_exceptions=True)

    async def run(self, payload: bytes) -> bytes:
        """Run the function on `payload` in a free worker.

        Raises WorkerTimeout, WorkerCrashed, WorkerRaised (all final for this input), WorkersUnavailable.
        """
        if self._stopping:
            raise WorkersUnavailable(f"{self.name} is stopping")
        worker = await self._idle.get()
        answered = False
        try:
            if worker is None:
                worker = await self._spawn()
            await self._prepared(worker)
            kind, body = await self._ask(worker, payload)
            answered = True
        finally:
            # Anything but an answer, a cancellation too, leaves the worker in the middle of something.
            if answered or worker is None:
                self._idle.put_nowait(worker)
            else:
                self._tasks.spawn(f"{self.name}.renew", self._renew(worker), forever=False)
        if kind == ERROR:
            raise WorkerRaised(body.decode("utf-8", "replace"))
        return body

    async def _renew(self, spoiled: _Worker) -> None:
        """Put a new worker in the place of a spoiled one, or an empty place that the next task fills."""
        fresh: _Worker | None = None
        try:
            self._alive.discard(spoiled)
            await spoiled.kill()
            if not self._stopping:
                fresh = await self._spawn()  # it imports while others work; prepare() waits for it
        except (WorkersUnavailable, TimeoutError) as error:
            log.error("worker not replaced", pool=self.name, error=repr(error))
        finally:
            self._idle.put_nowait(fresh)

    async def _prepared(self, worker: _Worker) -> None:
        try:
            await worker.prepare()
        except (EOFError, TimeoutError, OSError) as error:
            raise WorkersUnavailable(f"{self.name}: a worker did not start: {error!r}") from error

    async def _ask(self, worker: _Worker, payload: bytes) -> tuple[int, bytes]:
        pid = worker.process.pid
        begun, waited, left = _processor_seconds(pid), 0.0, self._deadline_s
        asked = asyncio.ensure_future(worker.ask(payload))
        try:
            while True:
                done, _ = await asyncio.wait({asked}, timeout=left)
                if done:
                    return asked.result()
                waited += left
                left = self._deadline_s - (_processor_seconds(pid) - begun)
                if left < 0.05 or waited >= self._deadline_s * _PATIENCE:
                    log.warning("worker killed at its deadline", pool=self.name, pid=pid, seconds=round(waited, 1))
                    raise WorkerTimeout(f"{self.name}: over {self._deadline_s:g} s")
        except (EOFError, OSError) as error:
            log.warning("worker died", pool=self.name, pid=pid)
            raise WorkerCrashed(f"{self.name}: the worker died of its task") from error
        finally:
            asked.cancel()

    async def _spawn(self) -> _Worker:
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",  # nothing from the working directory shadows what the first line imports
                "-c",
                _BOOT,
                json.dumps(sys.path),
                self._target,
                str(os.getpid()),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise WorkersUnavailable(f"{self.name}: {error}") from error
        worker = _Worker(process)
        self._alive.add(worker)
        return worker


def _processor_seconds(pid: int) -> float:
    """What the process has used of a processor. Where that cannot be known, the clock: it never stands still."""
    try:
        return time.clock_gettime(~pid << 3 | 2)  # the clock that clock_getcpuclockid(3) names on Linux
    except OSError:
        return time.monotonic()


def _widen(pipe: asyncio.BaseTransport) -> None:
    """A pipe takes 64 KiB at a time, which cuts a mail with files into dozens of turns."""
    number = pipe.get_extra_info("pipe").fileno()
    with contextlib.suppress(OSError, AttributeError):  # not Linux, or over what a user may have
        fcntl.fcntl(number, fcntl.F_SETPIPE_SZ, _PIPE)
