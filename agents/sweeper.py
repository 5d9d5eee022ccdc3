"""Puts back what agents fell silent on."""

import asyncio

from agents.port import Context
from runtime.logs import get_logger
from runtime.looping import Looping
from schemas.errors import TemporaryError
from store import work_items

log = get_logger(__name__)


class LeaseSweeper(Looping):
    """Service: looks for leases that have run out."""

    name = "lease sweeper"

    def __init__(self, context: Context) -> None:
        super().__init__()
        self._context = context

    async def _run(self) -> None:
        store = self._context.store
        while True:
            await asyncio.sleep(self._context.settings.sweep.total_seconds())
            now = self._context.clock.now()
            try:
                expired = await store.database.write(
                    lambda conn, now=now: work_items.expire_leases(conn, store.outbox, now)  # type: ignore[misc]
                )
            except TemporaryError as error:
                log.warning("leases could not be looked at", error=str(error))
                continue
            for item in expired:
                log.info("a work item is back in its queue: its agent fell silent", item=item.id)
