"""Clears the store of what has had its effect and is long past being needed: published events, counts of old days."""

import asyncio
from collections.abc import Callable

from sqlalchemy.engine import Connection

from runtime.clock import Clock
from runtime.logs import get_logger
from runtime.looping import Looping
from schemas.errors import TemporaryError
from store import outbox, rule_hits
from store.database import Database
from store.settings import StoreSettings

EVERY_S = 30.0

log = get_logger(__name__)


class StoreSweeper(Looping):
    """Service: what stays is what `store.keep_published` and `store.keep_rule_hits` say."""

    name = "store sweeper"

    def __init__(self, database: Database, clock: Clock, settings: StoreSettings) -> None:
        super().__init__()
        self._database, self._clock, self._settings = database, clock, settings

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                await self.sweep()
            except TemporaryError as error:
                log.warning("the store could not be swept", error=str(error))

    async def sweep(self) -> None:
        """Raises StoreUnavailable."""
        before = self._clock.now() - self._settings.keep_rule_hits
        for part in (
            lambda conn: outbox.sweep(conn, self._settings.keep_published),
            lambda conn: rule_hits.sweep(conn, before),
        ):
            await self._all_of(part)

    async def _all_of(self, part: Callable[[Connection], int]) -> None:
        # Little at a time: accept() waits for the same lock.
        while await self._database.write(part):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
