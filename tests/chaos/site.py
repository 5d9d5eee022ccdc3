"""The installation under test: what can be hit, and how. `Site` is what the run needs of it; `HouseSite` is the whole
system under one command, on SQLite and the embedded broker."""

import asyncio
import contextlib
import os
import signal
import sqlite3
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import aiohttp
import yaml

from store import agents
from store.database import Database
from store.schema import upgrade
from switchboard.demo.stage import Stage, set_up
from tests.chaos.schedule import Fault, Kind
from tests.chaos.town import MailServer
from tests.kit.contacts import NOW
from tests.kit.processes import alive, descendants
from tests.kit.proxy import ProxyProcess

ROOT = Path(__file__).parents[2]
LEASE_S = 4.0
READY_S = 90.0
LATENCY_S = 0.2


class Site(Protocol):
    """Started with its agents known; `strike` begins a fault and `heal` ends it."""

    database: Database
    http: Sequence[str]
    desks: Sequence[str]
    smtp: Sequence[int]
    calls: Path
    targets: Mapping[Kind, Sequence[str]]

    async def start(self, tokens: Mapping[str, str]) -> None: ...

    async def stop(self) -> None: ...

    async def strike(self, fault: Fault) -> None: ...

    async def heal(self, fault: Fault) -> None: ...

    async def broker(self) -> str:
        """host:port, not through any proxy."""
        ...


def configure(stage: Stage, **changes: Any) -> None:
    """The demo's installation, for crowds: leases that run out soon, each customer an address of their own."""
    tree: dict[str, Any] = yaml.safe_load(stage.config.read_text(encoding="utf-8"))
    tree["http"]["trusted_proxies"] = ["127.0.0.1"]
    tree["desk"] = {"lease": f"{LEASE_S:g}s", "heartbeat": "1s", "sweep": "500ms", "undo": "0s", "max_items": 20}
    tree["auto_answer"]["per_domain_per_hour"] = 1_000_000
    tree["log"] = {"level": "info", "format": "json"}
    tree.update(changes)
    stage.config.write_text(yaml.safe_dump(tree, sort_keys=False, allow_unicode=True), encoding="utf-8")


async def prepare(database: Database, tokens: Mapping[str, str]) -> None:
    """A migrated store with the agents in it."""
    async with database:
        await upgrade(database)
        for name, token in tokens.items():
            await database.write(lambda conn, name=name: agents.add(conn, name, at=NOW))  # type: ignore[misc]
            await database.write(lambda conn, n=name, t=token: agents.add_token(conn, n, t, at=NOW))  # type: ignore[misc]


async def spoil_link(fault: Fault, server: MailServer, proxies: ProxyProcess) -> bool:
    """Begin a fault between two processes. False if it is one of a process."""
    if fault.kind == "refuse":
        verb, _, answer = fault.detail.partition(": ")
        server.faults[verb] = answer
    elif fault.kind == "slow":
        await proxies.slow(fault.target, LATENCY_S)
    elif fault.kind == "reset" or fault.kind == "silence":
        await proxies.cut(fault.target, fault.kind)
    else:
        return False
    return True


async def mend_link(fault: Fault, server: MailServer, proxies: ProxyProcess) -> bool:
    if fault.kind == "refuse":
        server.faults.pop(fault.detail.partition(": ")[0], None)
    elif fault.kind in ("slow", "reset", "silence"):
        await proxies.heal(fault.target, reset=fault.detail == "ends with RST")
    else:
        return False
    return True


async def ready(base: str, process: asyncio.subprocess.Process, log: Path) -> None:
    """Return when /readyz says so, or at the latest after `READY_S`: under faults others may keep it from it."""
    end = asyncio.get_running_loop().time() + READY_S
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session:
        while asyncio.get_running_loop().time() < end:
            if process.returncode is not None:
                raise RuntimeError(f"ended with status {process.returncode}: {log.read_text()[-3000:]}")
            try:
                async with session.get(f"{base}/readyz") as response:
                    if response.status == 200:
                        return
            except (aiohttp.ClientError, TimeoutError, OSError):
                pass
            await asyncio.sleep(0.1)


def command_lines(pid: int) -> dict[int, str]:
    """The processes below `pid`, with their command lines."""
    found: dict[int, str] = {}
    for child in descendants(pid):
        with contextlib.suppress(OSError):
            found[child] = Path(f"/proc/{child}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return found


class HouseSite:
    """`switchboard run` as one process with its two children. `bug`: which planted bug to run it with."""

    targets: Mapping[Kind, Sequence[str]] = {
        "kill": ("house", "router", "broker"),
        "pause": ("house", "router", "broker"),
        "reset": ("smtp",),
        "silence": ("smtp",),
        "slow": ("smtp",),
        "refuse": ("smtp",),
        "lock": ("database",),
    }

    def __init__(self, folder: Path, mail: MailServer, *, bug: str = "") -> None:
        self._mail = mail
        self._proxies = ProxyProcess()
        self._folder = folder
        self._bug = bug
        self._process: asyncio.subprocess.Process | None = None
        self._stage: Stage
        self._lock: sqlite3.Connection | None = None
        self._starting = asyncio.Lock()

    async def start(self, tokens: Mapping[str, str]) -> None:
        await self._proxies.start({"smtp": (self._mail.port, 0)})
        self._stage = set_up(port=0, relay_port=self._proxies.ports["smtp"], folder=self._folder)
        configure(self._stage)
        data = self._folder / "data"
        data.mkdir(mode=0o700)
        await prepare(Database.at("sqlite:///switchboard.db", data), tokens)
        self.database = Database.at("sqlite:///switchboard.db", data)
        self.http = self.desks = [self._stage.http]
        self.smtp = [self._stage.smtp_port]
        self.calls = self._stage.calls
        await self._launch()

    async def _launch(self) -> None:
        log = self._folder / "run.log"
        module = ["tests.chaos.planted", self._bug, "--"] if self._bug else ["switchboard"]
        with log.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                *module,
                "--config",
                str(self._stage.config),
                "run",
                cwd=ROOT,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        await ready(self._stage.http, self._process, log)

    async def stop(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(40):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
        await self._proxies.stop()

    def _pid(self, target: str) -> int | None:
        assert self._process is not None
        if target == "house":
            return self._process.pid
        word = "router-process" if target == "router" else "--listener-url"
        return next((pid for pid, line in command_lines(self._process.pid).items() if word in line), None)

    async def broker(self) -> str:
        assert self._process is not None
        for line in command_lines(self._process.pid).values():
            if "--listener-url" in line:
                return line.partition("--listener-url tcp://")[2].split()[0]
        raise RuntimeError("there is no broker")

    async def strike(self, fault: Fault) -> None:
        if await spoil_link(fault, self._mail, self._proxies):
            return
        if fault.kind == "lock":
            self._lock = await asyncio.to_thread(_lock, self._folder / "data" / "switchboard.db")
            return
        async with self._starting:
            pid = self._pid(fault.target)
        if pid is not None:
            _send(pid, signal.SIGKILL if fault.kind == "kill" else signal.SIGSTOP)

    async def heal(self, fault: Fault) -> None:
        if await mend_link(fault, self._mail, self._proxies):
            return
        if fault.kind == "lock":
            if self._lock is not None:
                self._lock.close()
            self._lock = None
            return
        assert self._process is not None
        if fault.kind == "pause":
            for pid in [self._process.pid, *descendants(self._process.pid)]:
                if alive(pid):
                    _send(pid, signal.SIGCONT)
        elif fault.target == "house":
            async with self._starting:
                await self._process.wait()
                await self._launch()


def _send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _lock(path: Path) -> sqlite3.Connection:
    """Another writer who does not let go."""
    other = sqlite3.connect(path, timeout=10.0, isolation_level=None, check_same_thread=False)
    with contextlib.suppress(sqlite3.OperationalError):
        other.execute("BEGIN IMMEDIATE")
    return other
