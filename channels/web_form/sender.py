"""A form's answer is sent once it is readable on its status page: as soon as it is in the delivery ledger."""

import asyncio

from sqlalchemy.engine import Connection

from runtime.clock import Clock
from runtime.logs import get_logger
from runtime.looping import Looping
from schemas.errors import TemporaryError
from schemas.states import DeliveryState
from store import deliveries
from store.store import Store

POLL_S = 1.0
BATCH = 200

log = get_logger(__name__)


class StatusPageSender(Looping):
    """Service: pending → sent."""

    name = "web form sender"

    def __init__(self, store: Store, clock: Clock) -> None:
        super().__init__()
        self._store = store
        self._clock = clock
        self._wake = asyncio.Event()

    async def start(self) -> None:
        self._store.database.on_commit(self._wake.set, "deliveries")
        await super().start()

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                await self._send()
            except TemporaryError as error:
                log.warning("paused", service=self.name, error=str(error))
            try:
                async with asyncio.timeout(POLL_S):
                    await self._wake.wait()
                await asyncio.sleep(0.02)
            except TimeoutError:
                continue

    async def _send(self) -> None:
        now = self._clock.now()
        due = await self._store.database.look(lambda conn: deliveries.due(conn, "web_form", now, BATCH))
        if not due:
            return

        def work(conn: Connection) -> None:
            for item in due:
                deliveries.finish(
                    conn,
                    self._store.outbox,
                    item.reply.id,
                    item.recipient,
                    DeliveryState.SENT,
                    frm=[DeliveryState.PENDING],
                    now=now,
                    detail="readable on the status page",
                )

        await self._store.database.write(work)
