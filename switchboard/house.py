"""Puts a process together: which services a role needs, in the order in which they start."""

import os
import signal
import socket
import sys
import uuid
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any, Literal, get_args

from fastapi import APIRouter

from agents import desk
from agents.port import Context as DeskContext
from bus.brokers import Broker, open_broker
from bus.kafka import KafkaSink
from bus.records import Batch
from bus.relay import Relay
from bus.topics import REPLIES
from channels import registry
from channels.email.sending.plain import in_words
from channels.port import Context as ChannelContext
from channels.port import Parts as ChannelParts
from channels.senders import SenderIntake
from ops import live
from ops.figures import Figures
from ops.port import Context as OpsContext
from router.applier import applier
from router.applier.applier import Applier
from router.hosts.bus_host import GROUP as ROUTER_GROUP
from router.policies import PolicyBook
from runtime.http.app import create_app
from runtime.http.server import HttpIntake, HttpServer
from runtime.lifecycle import Lifecycle, Service
from runtime.processes import ChildProcess, Command, RestartPolicy
from schemas.errors import ConfigError
from store.relay_outbox import RelayOutbox
from store.sweeper import StoreSweeper
from switchboard.base import Base, StoreService, make_base
from switchboard.late import Late
from switchboard.lives import BrokerLives
from switchboard.page import page_router
from switchboard.rules_api import rules_router
from switchboard.secret import load_secret
from switchboard.settings import Configuration
from switchboard.version import __version__
from switchboard.watched_pump import WatchedPump

Role = Literal["channels", "relay", "router", "applier", "senders", "agents", "ops"]
ROLES: tuple[Role, ...] = get_args(Role)
NEED_BROKER = frozenset({"relay", "router", "applier", "senders"})
"""The others work through the store, and go on while Kafka is away."""
SENDERS_GROUP = "switchboard-senders"
DRAIN_TIMEOUT_S = 20.0
MEMORY_KEPT = {
    "MALLOC_MMAP_THRESHOLD_": "1073741824",
    "MALLOC_TRIM_THRESHOLD_": "536870912",
    "MALLOC_TOP_PAD_": "67108864",
}
"""For the router: glibc would hand its batches' memory back to the system and fetch it again, page by page."""


class House:
    """One main process. Without roles it is the whole system: the router and the broker are its children."""

    def __init__(
        self,
        configuration: Configuration,
        roles: Collection[Role] = (),
        *,
        extra: Sequence[APIRouter] = (),
        demo: bool = False,
    ) -> None:
        self.configuration = configuration
        self.settings = configuration.settings
        self.roles = frozenset(roles or ROLES)
        self.whole = not roles
        self._extra = list(extra)
        self._demo = demo
        refuse_impossible(configuration, self.roles, whole=self.whole)
        self.base: Base = make_base(configuration)
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self.broker: Broker = open_broker(self.settings.kafka, configuration.data_dir)
        kafka = self.settings.kafka
        self._durable = kafka.kind == "external" and kafka.replication > 1
        self.lives = BrokerLives(
            self.broker, self.base.database, self.base.clock, durable=self._durable, examines="relay" in self.roles
        )
        self.router: ChildProcess | None = None
        self.http: HttpServer | None = None
        self.parts: dict[str, ChannelParts] = {}
        self._readiness: dict[str, Callable[[], bool]] = {}
        self.services = self._build()
        self.lifecycle = Lifecycle(self.services, drain_timeout=DRAIN_TIMEOUT_S)

    def _build(self) -> list[Service]:
        services: list[Service] = [StoreService(self.base, whole=self.whole)]
        if self.roles & NEED_BROKER:
            services += [self.broker, self.lives]
            self._readiness["broker"] = lambda: self.broker.is_ready
        if "relay" in self.roles:
            services.append(Late(self._relay, "relay"))
            services.append(StoreSweeper(self.base.database, self.base.clock, self.settings.store))
        if "router" in self.roles:
            services.append(self._router_child())
        if "applier" in self.roles:
            services.append(Late(self._applier, "applier"))
        routers: list[APIRouter] = list(self._extra)
        mounts: dict[str, Any] = {}
        inbound: list[Service] = []
        outbound: list[Service] = []
        if self.roles & {"channels", "senders"}:
            for name, accounts in self.configuration.channels.items():
                parts = registry.channel(name).build(self._channel_context(), accounts)
                self.parts[name] = parts
                inbound += parts.inbound
                outbound += parts.outbound
                routers += parts.routers if "channels" in self.roles else ()
                mounts.update(parts.pages if "channels" in self.roles else {})
        if "senders" in self.roles:
            services += [Late(self._senders, "senders"), *outbound]
        check = desk.token_check(self.base.store)
        if "agents" in self.roles:
            desk_parts = desk.build(
                DeskContext(
                    store=self.base.store,
                    clock=self.base.clock,
                    metrics=self.base.metrics,
                    settings=self.settings.desk,
                    secret=self._secret(),
                    in_words=in_words,
                )
            )
            services += desk_parts.services
            routers += desk_parts.routers
        if "ops" in self.roles:
            ops = OpsContext(
                store=self.base.store,
                clock=self.base.clock,
                metrics=self.base.metrics,
                check=check,
                queues=tuple(self.configuration.policy.queues),
            )
            services.append(Figures(ops))
            routers += live.build(ops)
            routers += [rules_router(self.base.database, self.base.clock, check), page_router(demo=self._demo)]
        # A process without pages has health pages if it was told where: the file's address is the pages'.
        if routers or "http.bind" in self.configuration.given:
            self.http = self._http(routers, mounts)
            # First of all, so that a process that waits for the store says so; but two on one SQLite file are told
            # that, and not that they want the same port.
            services.insert(1 if self.base.database.is_sqlite else 0, self.http)
            services.append(HttpIntake(self.http))
        if "channels" in self.roles:
            services += inbound
        return services

    def _secret(self) -> bytes:
        self.configuration.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        return load_secret(self.configuration.data_dir)

    def _channel_context(self) -> ChannelContext:
        return ChannelContext(
            store=self.base.store,
            clock=self.base.clock,
            metrics=self.base.metrics,
            public_url=self.configuration.public_url,
            smtp_ingress=self.settings.smtp_ingress,
            config_dir=self.configuration.path.parent,
            data_dir=self.configuration.data_dir,
            secret=self._secret(),
        )

    def _http(self, routers: Sequence[APIRouter], mounts: dict[str, Any]) -> HttpServer:
        http = self.settings.http
        app = create_app(
            "Switchboard",
            routers,
            readiness=self._ready,
            is_open=lambda: self.lifecycle.has_started,
            waits_for=lambda: self.lifecycle.waiting_for,
            metrics=self.base.metrics,
            max_body_bytes=http.max_body_bytes,
            version=__version__,
            mounts=mounts,
            larger={desk.FILES: self.settings.desk.file_bytes + desk.FORM_BYTES},
        )
        return HttpServer(app, host=http.host, port=http.port, trusted_proxies=http.trusted_proxies)

    def _ready(self) -> dict[str, bool]:
        """`started`: every door is bound, and none is being shut."""
        parts = {name: ready() for name, ready in self._readiness.items()}
        return {"started": self.lifecycle.is_running, **parts}

    # What follows is built when its turn comes to start: it needs the broker's address.

    def _relay(self) -> Service:
        outbox = RelayOutbox(
            self.base.database,
            self.base.clock,
            shards=self.settings.kafka.partitions,
            durable=self._durable,
            forgot=self.lives.forgot,
        )
        relay = Relay(
            outbox,
            self._open_sink,
            self.broker.address,
            self.lives.incarnation,
            owner=self.owner,
            metrics=self.base.metrics,
        )
        self.lives.on_life(relay.reconnect)
        self._readiness["relay"] = lambda: relay.healthy
        return relay

    def _applier(self) -> Service:
        base = self.base
        handler = Applier(base.database, base.store.outbox, PolicyBook(base.database), base.clock, base.metrics)
        return self._pump("applier", applier.GROUP, applier.TOPICS, handler.handle)

    def _senders(self) -> Service:
        return self._pump("senders", SENDERS_GROUP, (REPLIES,), SenderIntake(self.base.store, self.base.clock).handle)

    def _pump(
        self, name: str, group: str, topics: Sequence[str], handle: Callable[[Batch], Awaitable[None]]
    ) -> Service:
        pump = WatchedPump(
            name,
            group,
            topics,
            handle,
            broker=self.broker,
            lives=self.lives,
            partitions=self.settings.kafka.partitions,
            stuck_after_s=self.settings.router.stuck_after.total_seconds(),
        )
        self._readiness[name] = lambda: pump.healthy
        return pump

    def _open_sink(self, address: str) -> KafkaSink:
        timeout = self.settings.kafka.send_timeout.total_seconds()
        compression = self.settings.kafka.compression
        return KafkaSink(address, embedded=self.broker.is_embedded, send_timeout_s=timeout, compression=compression)

    def _router_child(self) -> ChildProcess:
        child = ChildProcess(
            "router", self._router_command, restart=RestartPolicy(base_s=0.1, cap_s=3.0, max_deaths=1_000)
        )
        self._readiness["router"] = lambda: child.is_ready

        async def restart(_address: str, _incarnation: str) -> None:
            if child.pid is not None:  # it asks for the command again, and so gets the new address
                os.kill(child.pid, signal.SIGKILL)

        self.lives.on_life(restart)
        self.router = child
        return child

    def _router_command(self) -> Command:
        config = str(self.configuration.path)
        argv = [sys.executable, "-m", "switchboard", "--config", config, "router-process"]
        kind = "embedded" if self.broker.is_embedded else "external"
        argv += ["--broker", f"{kind}:{self.broker.address}", "--group", self.lives.group(ROUTER_GROUP)]
        return Command(argv, {**MEMORY_KEPT, **os.environ})


def refuse_impossible(configuration: Configuration, roles: Collection[str], *, whole: bool) -> None:
    """Raises ConfigError for combinations that would lose something."""
    if unknown := sorted(set(roles) - set(ROLES)):
        raise ConfigError([f"unknown roles: {', '.join(unknown)}"], hint=f"there are {', '.join(ROLES)}")
    problems = []
    settings = configuration.settings
    if not whole and settings.store.url.startswith("sqlite"):
        problems.append("store.url: roles as separate processes need PostgreSQL; SQLite has one writing process")
    if not whole and settings.kafka.kind != "external":
        problems.append(
            f"kafka.brokers: roles as separate processes need a Kafka cluster; {settings.kafka.kind} is one process's"
        )
    if problems:
        raise ConfigError(problems)
