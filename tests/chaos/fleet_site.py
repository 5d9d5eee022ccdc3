"""Every role as processes of its own, two of each, on PostgreSQL and Apache Kafka. The second of each reaches broker
and database through proxies, so that a cut link is one host's trouble and not everybody's."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from bus.brokers.local import Files, LocalBroker
from bus.brokers.probe import free_port
from bus.settings import KafkaSettings
from store.database import Database
from switchboard.demo.stage import set_up
from tests.chaos.run import say
from tests.chaos.schedule import Fault, Kind
from tests.chaos.site import configure, mend_link, prepare, spoil_link
from tests.chaos.town import MailServer
from tests.kit import postgres
from tests.kit.fleet import MEMBERS, Member
from tests.kit.proxy import ProxyProcess

CREW: Mapping[str, Sequence[str]] = {**MEMBERS, "desk-2": ["agents"]}
AGAIN_S = 0.5
"""A process that has ended by itself is started again after so long, as by any service manager."""


class ProxiedFiles(Files):
    """The broker's folder, with a second listener whose clients are told the proxy's address."""

    def __init__(self, folder: Path, proxy_port: int) -> None:
        super().__init__(folder)
        self.second = free_port()
        self._proxy_port = proxy_port

    def ports(self) -> tuple[int, int]:
        found = super().ports()
        text = self.properties.read_text("utf-8")
        text = text.replace("\nlisteners=", f"\nlisteners=PROXIED://127.0.0.1:{self.second},")
        text = text.replace(
            "\nadvertised.listeners=", f"\nadvertised.listeners=PROXIED://127.0.0.1:{self._proxy_port},"
        )
        text = text.replace("protocol.map=", "protocol.map=PROXIED:PLAINTEXT,")
        self.properties.write_text(text, "utf-8")
        return found


class FleetSite:
    """`crew`: name → roles. `bug`: which planted bug to run it with."""

    def __init__(
        self, folder: Path, mail: MailServer, *, bug: str = "", crew: Mapping[str, Sequence[str]] = CREW
    ) -> None:
        processes = ("broker", "database", *crew)
        self.targets: Mapping[Kind, Sequence[str]] = {
            "kill": processes,
            "pause": processes,
            "reset": ("broker", "database", "smtp"),
            "silence": ("broker", "database", "smtp"),
            "slow": ("broker", "database"),
            "refuse": ("smtp",),
        }
        found = postgres.binaries()
        if found is None:
            raise RuntimeError("needs a PostgreSQL server's binaries")
        self._server = postgres.Server(found)
        self._mail, self._folder, self._crew = mail, folder, crew
        self._command = [sys.executable, "-m", *(["tests.chaos.planted", bug, "--"] if bug else ["switchboard"])]
        self._broker = LocalBroker(KafkaSettings(brokers="local"), folder / "broker")
        self._proxies = ProxyProcess()
        self._members: dict[str, Member] = {}
        self._down: set[str] = set()
        """Who is down because of a fault."""
        self._keeper: asyncio.Task[None] | None = None
        self.ended: list[str] = []
        """Who has ended by itself."""

    async def start(self, tokens: Mapping[str, str]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        await asyncio.to_thread(self._server.start)
        kafka_port = free_port()
        files = ProxiedFiles(self._folder / "broker" / "kafka", kafka_port)
        self._broker._files = files
        await self._proxies.start(
            {"smtp": (self._mail.port, 0), "database": (self._server.port, 0), "broker": (files.second, kafka_port)}
        )
        await self._broker.start()
        stage = set_up(port=0, relay_port=self._proxies.ports["smtp"], folder=self._folder / "site")
        configure(stage, store={"url": self._server.url}, kafka={"brokers": self._broker.address, "partitions": 6})
        self.database = Database.at(self._server.url, self._folder)
        await prepare(Database.at(self._server.url, self._folder), tokens)
        far = {
            "SWITCHBOARD_STORE__URL": self._server.url.replace(
                f":{self._server.port}/", f":{self._proxies.ports['database']}/"
            ),
            "SWITCHBOARD_KAFKA__BROKERS": f"127.0.0.1:{kafka_port}",
        }
        for name, roles in self._crew.items():
            environment = far if name.endswith("-2") else {}
            self._members[name] = Member(name, roles, stage, environment=environment, command=self._command)
        edges = [m for m in self._members.values() if "channels" in m.roles]
        self.http, self.smtp = [m.http for m in edges], [m.smtp_port for m in edges]
        self.desks = [m.http for m in self._members.values() if "agents" in m.roles]
        self.calls = stage.calls
        for member in self._members.values():
            member.launch()
        await asyncio.gather(*(member.ready() for member in self._members.values()))
        self._keeper = asyncio.create_task(self._keep(), name="keeper")

    async def _keep(self) -> None:
        """A process that ends by itself is started again."""
        while True:
            await asyncio.sleep(AGAIN_S)
            for name, member in self._members.items():
                if not member.is_alive and name not in self._down:
                    say(f"{name} has ended by itself")
                    self.ended.append(name)
                    member.launch()

    async def stop(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
        running = [member for member in self._members.values() if member.is_alive]
        for member in running:
            member.resume()
        ended = await asyncio.gather(*(member.stop() for member in running), return_exceptions=True)
        for member, status in zip(running, ended, strict=True):
            if status != 0:
                say(f"{member.name} did not stop in order: {status}")
                if member.is_alive:
                    member.kill()
        await self._proxies.stop()
        await self._broker.stop()
        await asyncio.to_thread(self._server.clear)

    async def broker(self) -> str:
        return self._broker.address

    async def strike(self, fault: Fault) -> None:
        if await spoil_link(fault, self._mail, self._proxies):
            return
        target = fault.target
        if target == "database":
            await asyncio.to_thread(self._server.kill if fault.kind == "kill" else self._server.pause)
        elif target == "broker":
            self._signal_broker(signal.SIGKILL if fault.kind == "kill" else signal.SIGSTOP)
        elif fault.kind == "kill":
            self._down.add(target)
            if self._members[target].is_alive:
                self._members[target].kill()
        elif self._members[target].is_alive:
            self._members[target].pause()

    async def heal(self, fault: Fault) -> None:
        if await mend_link(fault, self._mail, self._proxies):
            return
        target = fault.target
        if target == "database":
            await asyncio.to_thread(self._server.start if fault.kind == "kill" else self._server.resume)
        elif target == "broker":
            if fault.kind == "pause":
                self._signal_broker(signal.SIGCONT)
        elif fault.kind == "kill":
            self._members[target].launch()
            self._down.discard(target)
            await self._until_ready(self._members[target])
        elif self._members[target].is_alive:
            self._members[target].resume()

    async def _until_ready(self, member: Member) -> None:
        """Others may be hit meanwhile, and keep it from being ready, or end it: then it is started again."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(60.0):
                while True:
                    try:
                        await member.ready()
                        return
                    except AssertionError:
                        await asyncio.sleep(AGAIN_S)

    def _signal_broker(self, number: signal.Signals) -> None:
        if self._broker.pid is not None:
            os.kill(self._broker.pid, number)
