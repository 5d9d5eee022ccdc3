"""A supervised child process of another program, which never outlives us."""

import asyncio
import contextlib
import os
import signal
import sys
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from runtime.backoff import backoff
from runtime.logs import get_logger
from runtime.tasks import TaskOwner
from schemas.errors import TemporaryError

_MAX_LINE = 4096
_LAST_LINES = 40
"""What a process that ended unasked said last is shown, whatever the level of the log: it mostly says why."""
_KILL_WAIT_S = 5.0

# Runs in a fresh interpreter that becomes the program by exec, which keeps the death signal. A preexec_fn
# would run Python between fork and exec of a process with threads, where it may deadlock. The parent is
# compared because it may have died before prctl; the signal follows the parent's *thread*, so children
# are started from the event loop's own thread only.
_LAUNCHER = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)
if os.getppid() != int(sys.argv[1]):
    sys.exit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""

log = get_logger(__name__)


class ProcessFailedError(TemporaryError):
    """A child process did not come up, or died too often."""


@dataclass(frozen=True, slots=True)
class Command:
    """What to run: `argv[0]` is an absolute path; `env` is the whole environment, nothing is inherited."""

    argv: Sequence[str]
    env: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """Come back after a death, waiting with full jitter; give up after `max_deaths` in a row, once it has been ready
    only if not `for_ever`: then what hinders it passes, and giving up would end what can go on without it.

    A life of `healthy_s` seconds or more starts the count anew.
    """

    base_s: float = 0.1
    cap_s: float = 5.0
    max_deaths: int = 8
    healthy_s: float = 10.0
    for_ever: bool = False


NO_RESTART = RestartPolicy(max_deaths=1)


class ChildProcess:
    """Service: runs what `command` names, again after each death. It dies with its parent, even by SIGKILL.

    `command` is asked before every start, so that a restart can use a fresh port.
    `ready` is awaited after every start; its error kills the process and counts as a death.
    `on_exit` gets the exit status (negative: the signal) after every death that was not asked for.
    """

    def __init__(
        self,
        name: str,
        command: Callable[[], Command],
        *,
        restart: RestartPolicy = NO_RESTART,
        ready: Callable[[], Awaitable[None]] | None = None,
        on_exit: Callable[[int], Awaitable[None]] | None = None,
        ready_timeout_s: float = 30.0,
        stop_timeout_s: float = 5.0,
    ) -> None:
        self.name = name
        self._command = command
        self._restart = restart
        self._ready = ready
        self._on_exit = on_exit
        self._ready_timeout_s = ready_timeout_s
        self._stop_timeout_s = stop_timeout_s
        self._tasks = TaskOwner()
        self._process: asyncio.subprocess.Process | None = None
        self._up = asyncio.Event()
        self._was_ready = False
        self._last: deque[str] = deque(maxlen=_LAST_LINES)
        self._stopping = False

    @property
    def pid(self) -> int | None:
        """The process id while it lives."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    @property
    def is_ready(self) -> bool:
        return self._up.is_set() and self.pid is not None

    async def start(self) -> None:
        """Return when the first process is ready. Raises ProcessFailedError if none came up."""
        self._tasks.spawn(f"{self.name}.supervise", self._supervise())
        up = asyncio.create_task(self._up.wait())
        dead = asyncio.create_task(self._tasks.wait_failed())
        try:
            await asyncio.wait({up, dead}, return_when=asyncio.FIRST_COMPLETED)
            if not up.done():
                raise self._tasks.failed[1] if self._tasks.failed else ProcessFailedError(self.name)
        finally:
            up.cancel()
            dead.cancel()

    async def drain(self) -> None:
        """Nothing to do: what it does, others use."""

    async def stop(self) -> None:
        """SIGTERM, then SIGKILL after `stop_timeout_s`."""
        self._stopping = True
        process = self._process
        if process is not None and process.returncode is None:
            _signal(process, signal.SIGTERM)
            try:
                async with asyncio.timeout(self._stop_timeout_s):
                    await process.wait()
            except TimeoutError:
                log.warning("killed, did not stop in time", process=self.name, pid=process.pid)
        await self._tasks.cancel_all(_KILL_WAIT_S + 1.0)

    async def failed(self) -> BaseException:
        return (await self._tasks.wait_failed())[1]

    async def _supervise(self) -> None:
        loop = asyncio.get_running_loop()
        deaths = 0
        while True:
            begun = loop.time()
            reason = await self._one_life()
            if self._stopping:
                await asyncio.Event().wait()  # stop() cancels us
            deaths = 1 if loop.time() - begun >= self._restart.healthy_s else deaths + 1
            log.warning("process ended", process=self.name, reason=reason, deaths=deaths, last="\n".join(self._last))
            if deaths >= self._restart.max_deaths and not (self._restart.for_ever and self._was_ready):
                raise ProcessFailedError(f"{self.name}: {reason} ({deaths} in a row)")
            await asyncio.sleep(backoff(deaths - 1, self._restart.base_s, self._restart.cap_s))

    async def _one_life(self) -> str:
        """From start to death. Gives the reason of the death; leaves no process behind, however it ends."""
        try:
            process = await self._spawn()
        except OSError as error:
            return f"cannot be started: {error}"
        self._process = process
        assert process.stdout is not None
        self._last.clear()
        output = asyncio.create_task(_log_lines(self.name, process.stdout, self._last), name=f"{self.name}.output")
        try:
            problem = await self._wait_ready(process)
            if problem is None:
                self._up.set()
                self._was_ready = True
                log.debug("process ready", process=self.name, pid=process.pid)
                await process.wait()
                problem = f"ended with status {process.returncode}"
        finally:
            self._up.clear()
            _signal(process, signal.SIGKILL)
            async with asyncio.timeout(_KILL_WAIT_S):
                await process.wait()
            # A grandchild may hold the pipe open; what it writes is not worth waiting for.
            await asyncio.wait({output}, timeout=0.5)
            output.cancel()
        if self._on_exit is not None and not self._stopping:
            await self._on_exit(process.returncode if process.returncode is not None else -9)
        return problem

    async def _spawn(self) -> asyncio.subprocess.Process:
        command = self._command()
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            "-S",
            "-c",
            _LAUNCHER,
            str(os.getpid()),
            *command.argv,
            env=dict(command.env),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,  # a Ctrl-C at the terminal is ours to hand on, in order
        )

    async def _wait_ready(self, process: asyncio.subprocess.Process) -> str | None:
        if self._ready is None:
            return None
        ready = asyncio.ensure_future(self._ready())
        ended = asyncio.create_task(process.wait())
        try:
            done, _ = await asyncio.wait(
                {ready, ended}, timeout=self._ready_timeout_s, return_when=asyncio.FIRST_COMPLETED
            )
            if ended in done:
                return f"ended with status {process.returncode} before it was ready"
            if not done:
                return f"not ready within {self._ready_timeout_s:g} s"
            error = ready.exception()
            return None if error is None else f"not ready: {error}"
        finally:
            ready.cancel()
            ended.cancel()
            await asyncio.wait({ready, ended}, timeout=1.0)


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)


async def _log_lines(name: str, stream: asyncio.StreamReader, last: deque[str]) -> None:
    """Hand on what the process prints, line by line; longer lines are cut, so that memory stays bounded."""

    def told(line: bytes) -> None:
        if line.strip():
            last.append(line[:_MAX_LINE].decode("utf-8", "replace"))
            log.debug("output", process=name, line=last[-1])

    rest = b""
    while chunk := await stream.read(65536):
        *lines, rest = (rest + chunk).split(b"\n")
        rest = rest[:_MAX_LINE]
        for line in lines:
            told(line)
    told(rest)
