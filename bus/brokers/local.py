"""Apache Kafka on this machine, without Docker: one broker (KRaft), a child of ours, its data in the data folder.

It comes back on the same address after each death, so that clients find their way back by themselves. What it had
confirmed is in the page cache and survives its death, not the machine's: see DESIGN "When a row is done".
"""

import asyncio
import base64
import json
import os
import shutil
import uuid
from pathlib import Path

from bus import admin
from bus.brokers.kafka_jars import KafkaProgram, Report, format_storage, program
from bus.brokers.port import OnRestart, OnReturn
from bus.brokers.probe import HOST, answers, free_port, is_free
from bus.settings import KafkaSettings
from bus.topics import TOPICS
from runtime.logs import get_logger
from runtime.processes import ChildProcess, Command, RestartPolicy
from runtime.tasks import TaskOwner
from schemas.errors import BrokerUnavailable

FOLDER = "kafka"
_READY_TIMEOUT_S = 55.0
_STOP_TIMEOUT_S = 10.0

_BEGIN_ANEW = "and start again: a new log begins, and what the store has is published anew"

log = get_logger(__name__)


class LocalBroker:
    """Service and Broker: Apache Kafka under supervision.

    The incarnation is the cluster's id, kept with the data: a restart keeps it, an emptied data folder gets a new one.
    """

    is_embedded = False

    def __init__(
        self,
        settings: KafkaSettings,
        data_dir: Path,
        *,
        restart: RestartPolicy | None = None,
        report: Report | None = None,
    ) -> None:
        self.name = "broker"
        self.incarnation = ""
        self._settings = settings
        self._files = Files(data_dir / FOLDER)
        self._report = report
        self._kafka: KafkaProgram | None = None
        self._ports = (0, 0)
        self._listeners: list[OnReturn] = []
        self._tasks = TaskOwner()
        self._child = ChildProcess(
            self.name,
            self._command,
            # A data folder that cannot be opened must not be tried for ever when we start. Later the doors stay open,
            # whatever takes the port or fills the disk.
            restart=restart or RestartPolicy(base_s=0.1, cap_s=5.0, max_deaths=20, for_ever=True),
            ready=self._make_ready,
            ready_timeout_s=_READY_TIMEOUT_S,
            stop_timeout_s=_STOP_TIMEOUT_S,
        )

    @property
    def address(self) -> str:
        return f"{HOST}:{self._ports[0]}"

    @property
    def pid(self) -> int | None:
        return self._child.pid

    @property
    def is_ready(self) -> bool:
        return self._child.is_ready

    def on_restart(self, callback: OnRestart) -> None:
        """Never called: neither address nor incarnation changes while we live."""

    def on_return(self, callback: OnReturn) -> None:
        self._listeners.append(callback)

    async def start(self) -> None:
        """Raises ConfigError (no Java, no Maven), BrokerUnavailable, ProcessFailedError."""
        self._kafka = await program(self._report)
        self._ports = await asyncio.to_thread(self._files.ports)
        cluster = await self._files.format(self._kafka)
        self.incarnation = f"local:{cluster}"
        await self._child.start()
        log.info("Apache Kafka ready", address=self.address, pid=self.pid, cluster=cluster)

    async def drain(self) -> None:
        """Nothing to do: clients leave first."""

    async def stop(self) -> None:
        await self._tasks.cancel_all(2.0)
        await self._child.stop()

    async def failed(self) -> BaseException:
        return await self._child.failed()

    def _command(self) -> Command:
        assert self._kafka is not None, "start() comes first"
        if not self._files.are_there:
            raise BrokerUnavailable(f"Kafka's data in {self._files.logs} are gone", hint=_BEGIN_ANEW)
        heap = f"-Xmx{self._settings.local_heap_mb}m"
        quiet = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
        # Without memory it would go on in pieces, and answer nobody; started anew it is well again.
        options = [heap, "-XX:+ExitOnOutOfMemoryError", "-XX:TieredStopAtLevel=1", quiet]
        argv = [self._kafka.java, *options, "-cp", self._kafka.class_path]
        return Command([*argv, "kafka.Kafka", str(self._files.properties)], {"PATH": os.environ.get("PATH", "")})

    async def _make_ready(self) -> None:
        while not await answers(self.address):  # noqa: ASYNC110 - nothing tells us but asking
            await asyncio.sleep(0.05)
        cluster = await admin.cluster_id(self.address)
        if self.incarnation != f"local:{cluster}":
            raise BrokerUnavailable(f"{self.address} is another cluster's ({cluster})")
        await admin.apply(self.address, TOPICS, self._settings.partitions, 1)
        for callback in self._listeners:
            await callback()


class Files:
    """The broker's folder: its properties, its ports, its logs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.properties = folder / "server.properties"
        self.logs = folder / "logs"
        self._ports = folder / "ports.json"

    @property
    def are_there(self) -> bool:
        """Without them a broker never starts, however often it is tried."""
        return (self.logs / "meta.properties").exists()

    def ports(self) -> tuple[int, int]:
        """(clients', controller's), the same as last time if they are free; the properties name them."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = known_ports(self.folder)
        if found is None or not all(map(is_free, found)):
            found = (free_port(), free_port())
            _write(self._ports, json.dumps(found))
        _write(self.properties, _properties(*found, self.logs))
        return found

    async def format(self, kafka: KafkaProgram) -> str:
        """The id of the cluster that the data belong to; a new one if there are none."""
        if not self.are_there:
            shutil.rmtree(self.logs, ignore_errors=True)
            # Formatted beside and renamed in: a crash in the middle leaves nothing half made.
            scratch = self.folder / "logs.new"
            shutil.rmtree(scratch, ignore_errors=True)
            properties = self.folder / "format.properties"
            _write(properties, _properties(*(known_ports(self.folder) or (1, 2)), scratch))
            await format_storage(kafka, properties, _new_cluster_id())
            properties.unlink()
            scratch.rename(self.logs)
        for line in (self.logs / "meta.properties").read_text(encoding="ascii").splitlines():
            if line.startswith("cluster.id="):
                return line.partition("=")[2].replace("\\", "")
        raise BrokerUnavailable(f"{self.logs} is not Kafka's: it has no cluster id", hint=f"remove it, {_BEGIN_ANEW}")


def known_ports(folder: Path) -> tuple[int, int] | None:
    """The ports that the broker of this folder uses, or used last."""
    try:
        clients, controller = json.loads((folder / "ports.json").read_text(encoding="ascii"))
    except (OSError, ValueError, TypeError):
        return None
    return int(clients), int(controller)


def known_address(data_dir: Path) -> str | None:
    """Where the local broker of this data folder answers while it runs; None before its first start."""
    found = known_ports(data_dir / FOLDER)
    return f"{HOST}:{found[0]}" if found else None


def _new_cluster_id() -> str:
    while (text := base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")).startswith("-"):
        pass  # Kafka's own tool takes a leading dash for an option
    return text


def _write(path: Path, text: str) -> None:
    partial = path.with_suffix(".part")
    partial.write_text(text, encoding="utf-8")
    partial.rename(path)


def _properties(clients: int, controller: int, logs: Path) -> str:
    """One node that is broker and controller. Topics are ours to make; a group need not wait for more members."""
    lines = {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@{HOST}:{controller}",
        "listeners": f"PLAINTEXT://{HOST}:{clients},CONTROLLER://{HOST}:{controller}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{clients}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "inter.broker.listener.name": "PLAINTEXT",
        "log.dirs": logs,
        # A broker that was killed is let in again only when its old session has ended.
        "broker.session.timeout.ms": 3000,
        "broker.heartbeat.interval.ms": 500,
        "auto.create.topics.enable": "false",
        "group.initial.rebalance.delay.ms": 0,
        "offsets.topic.num.partitions": 4,
        "offsets.topic.replication.factor": 1,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
    }
    return "".join(f"{name}={value}\n" for name, value in lines.items())
