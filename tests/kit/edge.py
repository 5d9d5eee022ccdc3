"""The edge alone: a store and the channels, without broker, router or desk. `away` takes the store's intake away."""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from bus.topics import partition_for
from channels import registry
from channels.port import Context, Parts
from channels.settings import SmtpIngressSettings
from runtime.clock import SystemClock
from runtime.http.app import create_app
from runtime.http.server import HttpServer
from runtime.lifecycle import Lifecycle
from runtime.metrics import Metrics
from schemas.errors import StoreUnavailable
from store import ledger, policies
from store.blobs import Blobs
from store.database import Database
from store.intake import Acceptance, Arrival, Intake
from store.ledger import Balance
from store.outbox import Outbox
from store.store import Store
from tests.kit.contacts import NOW
from tests.kit.postgres import emptied


class FlakyIntake(Intake):
    """The real intake, until it is `away`; or until its process dies at the `dies_at`-th contact (from 1), by kill -9,
    before that is accepted or just after."""

    away = False
    dies_at = 0
    dies: Literal["before", "after"] = "before"
    _seen = 0

    async def accept(self, arrival: Arrival, now: datetime) -> Acceptance:
        if self.away:
            raise StoreUnavailable("away, as told")
        self._seen += 1
        mine = self._seen == self.dies_at
        if mine and self.dies == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        got = await super().accept(arrival, now)
        if mine:
            os.kill(os.getpid(), signal.SIGKILL)
        return got

    async def set_aside(self, *args: Any, **more: Any) -> str:
        if self.away:
            raise StoreUnavailable("away, as told")
        return await super().set_aside(*args, **more)


@dataclass
class Edge:
    context: Context
    intake: FlakyIntake
    database: Database
    http: HttpServer
    parts: dict[str, Parts] = field(default_factory=dict)

    async def balance(self) -> Balance:
        return await self.database.read(ledger.balance)

    async def accepted(self, channel: str) -> int:
        return {c.channel: c.accepted for c in (await self.balance()).channels}.get(channel, 0)


@asynccontextmanager
async def edge(
    folder: Path,
    accounts: dict[str, dict[str, Any]],
    *,
    store_url: str = "sqlite:///edge.db",
    smtp_ingress: dict[str, Any] | None = None,
    keep: bool = False,
) -> AsyncIterator[Edge]:
    """`accounts`: channel → account → settings. What is in the store at `store_url` is dropped, unless `keep`."""
    database = Database.at(store_url, folder)
    blobs, outbox = Blobs(folder / "blobs"), Outbox(lambda key: partition_for(key, 6))
    intake = FlakyIntake(database, blobs, outbox)
    context = Context(
        store=Store(database, blobs, outbox, intake),
        clock=SystemClock(),
        metrics=Metrics(),
        public_url="http://shop.example",
        smtp_ingress=SmtpIngressSettings.model_validate(
            {"bind": "127.0.0.1:0", "max_bytes": 100_000, **(smtp_ingress or {})}
        ),
        config_dir=folder,
        data_dir=folder,
        secret=b"s" * 32,
    )
    parts = {
        name: registry.channel(name).build(context, registry.accounts(name, section))
        for name, section in accounts.items()
    }
    app = create_app(
        "edge",
        [router for part in parts.values() for router in part.routers],
        readiness=dict,
        metrics=context.metrics,
        max_body_bytes=2_000_000,
        mounts={path: page for part in parts.values() for path, page in part.pages.items()},
    )
    http = HttpServer(app, host="127.0.0.1", port=0)
    async with database:
        if not keep:
            await emptied(database)
        await database.write(lambda conn: policies.activate(conn, "p-test", b"{}", NOW))
        services = [http, *(s for part in parts.values() for s in (*part.outbound, *part.inbound))]
        lifecycle = Lifecycle(services, drain_timeout=10.0)
        await lifecycle.start()
        try:
            yield Edge(context, intake, database, http, parts)
        finally:
            report = await lifecycle.stop()
            assert report.clean, report
