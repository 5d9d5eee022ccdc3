"""Clears the desk: puts back what agents fell silent on, removes the files that no answer has used."""

import asyncio
from datetime import datetime

from agents.port import Context
from runtime.logs import get_logger
from runtime.looping import Looping
from schemas.errors import TemporaryError
from store import uploads, work_items

FILES_EVERY_S = 60.0
FILES_AT_ONCE = 100

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


class UploadSweeper(Looping):
    """Service: removes files that have waited for an answer for `desk.uploads_kept`."""

    name = "upload sweeper"

    def __init__(self, context: Context) -> None:
        super().__init__()
        self._context = context
        self._removed = context.metrics.counter("uploads_removed_total", "Files that no answer has used.")

    async def _run(self) -> None:
        while True:
            try:
                # Little at a time: accept() waits for the same lock.
                while await self.sweep(self._context.clock.now()) == FILES_AT_ONCE:  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
            except TemporaryError as error:
                log.warning("uploaded files could not be looked at", error=str(error))
            await asyncio.sleep(FILES_EVERY_S)

    async def sweep(self, now: datetime) -> int:
        """How many files were removed. Raises StoreUnavailable."""
        store, before = self._context.store, now - self._context.settings.uploads_kept
        going = await store.database.write(lambda conn: uploads.sweep(conn, before, FILES_AT_ONCE))
        for dataref in going:
            await store.blobs.remove_upload(dataref)
        if going:
            await store.database.write(lambda conn: uploads.removed(conn, going))
            self._removed.inc(len(going))
            log.info("uploaded files were removed: no answer has used them", files=len(going))
        return len(going)
