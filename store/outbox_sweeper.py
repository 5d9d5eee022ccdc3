"""Clears the outbox of what has been published and has had its effect, long after it was needed."""

import asyncio

from runtime.logs import get_logger
from runtime.looping import Looping
from schemas.errors import TemporaryError
from store import outbox
from store.database import Database

EVERY_S = 30.0

log = get_logger(__name__)


class OutboxSweeper(Looping):
    """Service: keeps the last `keep` rows, for people who look into what was published."""

    name = "outbox sweeper"

    def __init__(self, database: Database, keep: int) -> None:
        super().__init__()
        self._database, self._keep = database, keep

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                # Little at a time: accept() waits for the same lock.
                while await self._database.write(lambda conn: outbox.sweep(conn, self._keep)):  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
            except TemporaryError as error:
                log.warning("the outbox could not be swept", error=str(error))
