"""An installation as separate processes on PostgreSQL and Apache Kafka, each of which can be killed or paused.

async with fleet(folder) as site:            # or: fleet(folder, members={"relay-1": ["relay"], …})
    site.members["relay-1"].kill()           # kill -9 of the process and its children
    await site.members["relay-1"].start()    # the same one again, at the same addresses
    site.members["relay-1"].pause()          # SIGSTOP; resume() is SIGCONT
    await site.kill_broker()                 # comes back by itself, on the same address
    await site.kill_database()               # comes back when start_database() is called
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import aiohttp
import yaml

from bus.brokers.local import LocalBroker
from bus.brokers.probe import free_port
from bus.settings import KafkaSettings
from runtime.clock import SystemClock
from store import agents
from store.database import Database
from store.schema import upgrade
from switchboard.demo.mail import CustomersMailServer
from switchboard.demo.players import Town
from switchboard.demo.stage import Stage, set_up
from tests.kit import postgres
from tests.kit.processes import descendants, gone

ROOT = Path(__file__).parents[2]
MEMBERS: Mapping[str, Sequence[str]] = {
    "channels-1": ["channels"],
    "channels-2": ["channels"],
    "relay-1": ["relay"],
    "relay-2": ["relay"],
    "router-1": ["router"],
    "router-2": ["router"],
    "applier-1": ["applier"],
    "applier-2": ["applier"],
    "senders-1": ["senders"],
    "senders-2": ["senders"],
    "desk-1": ["agents", "ops"],
}
"""Two of everything that may be two."""


class Member:
    """One role process (of one or several roles). Its addresses stay the same over restarts."""

    def __init__(
        self,
        name: str,
        roles: Sequence[str],
        stage: Stage,
        *,
        environment: Mapping[str, str] | None = None,
        command: Sequence[str] = (sys.executable, "-m", "switchboard"),
    ) -> None:
        self.name = name
        self.roles = tuple(roles)
        self.http_port, self.smtp_port = free_port(), free_port()
        self.log = stage.folder / f"{name}.log"
        self.environment = dict(environment or {})
        """On top of ours; may be changed before the next start."""
        self.command = list(command)
        self._stage = stage
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def pid(self) -> int:
        assert self._process is not None, f"{self.name} was never started"
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def launch(self) -> None:
        """Start it and do not wait."""
        assert not self.is_alive, f"{self.name} runs"
        argv = [*self.command, "--config", str(self._stage.config), "run", *self.roles]
        environment = {
            **os.environ,
            "SWITCHBOARD_HTTP__PUBLIC_URL": self.http,
            "SWITCHBOARD_SMTP_INGRESS__BIND": f"127.0.0.1:{self.smtp_port}",
            **self.environment,
        }
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*argv, "--bind", f"127.0.0.1:{self.http_port}"],
                cwd=ROOT,
                env=environment,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    async def ready(self, timeout: float = 90.0) -> None:
        """Wait until /readyz says so."""
        async with asyncio.timeout(timeout), aiohttp.ClientSession() as session:
            while True:
                assert self.is_alive, f"{self.name} died: {self.tail()}"
                try:
                    async with session.get(f"{self.http}/readyz", timeout=aiohttp.ClientTimeout(total=5)) as response:
                        if response.status == 200:
                            return
                except (aiohttp.ClientError, TimeoutError):
                    pass
                await asyncio.sleep(0.1)

    async def start(self, timeout: float = 90.0) -> None:
        self.launch()
        await self.ready(timeout)

    def kill(self) -> None:
        """kill -9 of it and its children."""
        self._signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait(10)

    def pause(self) -> None:
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    async def stop(self, timeout: float = 40.0) -> int:
        """SIGTERM; the exit status."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        return await asyncio.to_thread(self._process.wait, timeout)

    def tail(self, characters: int = 4000) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-characters:] if self.log.exists() else ""

    def _signal(self, number: signal.Signals) -> None:
        for pid in [self.pid, *descendants(self.pid)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


@dataclass
class Site:
    """`town`: the first edge, as the demo's players know it; `token`: an agent's, called `ada`."""

    stage: Stage
    members: dict[str, Member]
    broker: LocalBroker
    server: postgres.Server
    database: Database
    mail: CustomersMailServer
    token: str
    towns: list[Town] = field(default_factory=list)
    """One per edge, at its addresses; what customers have written and read is noted in one place."""

    @property
    def town(self) -> Town:
        return self.towns[0]

    @property
    def desk(self) -> str:
        """Where agents work."""
        return next(m.http for m in self.members.values() if "agents" in m.roles)

    async def kill_broker(self) -> None:
        """kill -9; its supervisor starts it again, with its data, on the same address."""
        pid = self.broker.pid
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
            await gone([pid])

    def pause_broker(self) -> None:
        if self.broker.pid is not None:
            os.kill(self.broker.pid, signal.SIGSTOP)

    def resume_broker(self) -> None:
        if self.broker.pid is not None:
            os.kill(self.broker.pid, signal.SIGCONT)

    async def kill_database(self) -> None:
        """kill -9 of PostgreSQL; `start_database` brings it back with its data."""
        await asyncio.to_thread(self.server.kill)

    async def start_database(self) -> None:
        await asyncio.to_thread(self.server.start)


@contextlib.asynccontextmanager
async def fleet(
    folder: Path,
    *,
    members: Mapping[str, Sequence[str]] = MEMBERS,
    environment: Mapping[str, str] | None = None,
    command: Sequence[str] = (sys.executable, "-m", "switchboard"),
    changes: Mapping[str, object] | None = None,
    started: bool = True,
    durable: bool = False,
) -> AsyncIterator[Site]:
    """A broker and a database of its own, and `members` running on them.

    `environment` is for all members (a proxy's address in SWITCHBOARD_STORE__URL, say), `changes` are sections of the
    configuration file; `started=False` leaves the starting to the caller; `durable`: PostgreSQL waits for the disk,
    as in real life.
    """
    found = postgres.binaries()
    assert found is not None, "needs PostgreSQL: ask for the fixture postgres_url first"
    server = await asyncio.to_thread(postgres.Server, found, durable=durable)
    mail = CustomersMailServer()
    await mail.start()
    broker = LocalBroker(KafkaSettings(brokers="local"), folder / "broker")
    stage = set_up(port=0, relay_port=mail.port, folder=folder / "site")
    everybody: dict[str, Member] = {}
    try:
        await asyncio.gather(asyncio.to_thread(server.start), broker.start())
        _configure(stage, server.url, broker.address, changes or {})
        database = Database.at(server.url, stage.folder)
        async with database:
            token = await _staffed(database)
            for name, roles in members.items():
                everybody[name] = Member(name, roles, stage, environment=environment, command=command)
            edges = [m for m in everybody.values() if "channels" in m.roles]
            site = Site(stage, everybody, broker, server, database, mail, token)
            first = Town("", 0, stage.calls, mail)
            site.towns = [replace(first, http=m.http, smtp_port=m.smtp_port) for m in edges]
            if started:
                await asyncio.gather(*(member.start() for member in everybody.values()))
            yield site
    finally:
        for member in everybody.values():
            if member.is_alive:
                member.resume()
                member.kill()
        await broker.stop()
        await asyncio.to_thread(server.clear)
        await mail.stop()


def _configure(stage: Stage, store: str, brokers: str, changes: Mapping[str, object]) -> None:
    tree = yaml.safe_load(stage.config.read_text(encoding="utf-8"))
    tree["store"] = {"url": store}
    tree["kafka"] = {**tree.get("kafka", {}), "brokers": brokers}
    tree["log"] = {"level": "info", "format": "console"}
    tree.update(changes)
    stage.config.write_text(yaml.safe_dump(tree, sort_keys=False, allow_unicode=True), encoding="utf-8")


async def _staffed(database: Database) -> str:
    """A migrated store with an agent; her token."""
    token, now = agents.new_token(), SystemClock().now()
    await upgrade(database)
    await database.write(lambda conn: agents.add(conn, "ada", at=now))
    await database.write(lambda conn: agents.add_token(conn, "ada", token, at=now))
    return token
