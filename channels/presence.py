"""Says for a process's senders that they are there, and looks after the attempts of those that no longer are."""

import asyncio
import os
import socket
import uuid
from datetime import timedelta

from sqlalchemy.engine import Connection

from runtime.clock import Clock
from runtime.logs import get_logger
from runtime.looping import Looping
from schemas.errors import TemporaryError
from store import deliveries
from store.store import Store

TTL_S = 15.0
"""So long after its last sign a sender counts as gone, and its open attempts as unknown."""

log = get_logger(__name__)


class Presence(Looping):
    """Service. `owner` is the name under which attempts are made now; a process that was taken for gone, because it
    stood still for too long, goes on under a new one."""

    name = "sender presence"

    def __init__(self, store: Store, clock: Clock, *, ttl_s: float = TTL_S) -> None:
        super().__init__()
        self._store = store
        self._clock = clock
        self._ttl = timedelta(seconds=ttl_s)
        self.owner = _new_name()
        self._sure_until = 0.0

    def sure(self) -> bool:
        """False when nobody can have heard of us for so long that others may take us for gone: begin nothing that
        cannot be taken back."""
        return self._clock.monotonic() < self._sure_until

    async def start(self) -> None:
        """Raises StoreUnavailable."""
        await self._arrive()
        # Of an SQLite store we are the only process: whoever else has left something open is gone.
        await self._look_after(alone=self._store.database.is_sqlite)
        await super().start()

    async def stop(self) -> None:
        await super().stop()
        now = self._clock.now()
        try:
            async with asyncio.timeout(2.0):
                await self._store.database.write(lambda conn: deliveries.leave(conn, self.owner, now))
        except (TemporaryError, TimeoutError) as error:  # then it runs out by itself
            log.debug("not signed off", error=repr(error))

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._ttl.total_seconds() / 3)
            try:
                since = self._clock.monotonic()
                if await self._store.database.write(self._stay):
                    self._sure_until = since + self._ttl.total_seconds()
                else:
                    log.warning("taken for gone, because nothing was heard of us: open attempts are not ours any more")
                    self.owner = _new_name()
                    await self._arrive()
                await self._look_after(alone=False)
            except TemporaryError as error:
                log.warning("paused", service=self.name, error=str(error))

    def _stay(self, conn: Connection) -> bool:
        return deliveries.stay(conn, self.owner, self._clock.now() + self._ttl)

    async def _arrive(self) -> None:
        def work(conn: Connection) -> None:
            now = self._clock.now()
            deliveries.arrive(conn, self.owner, now, now + self._ttl)

        since = self._clock.monotonic()
        await self._store.database.write(work)
        self._sure_until = since + self._ttl.total_seconds()

    async def _look_after(self, *, alone: bool) -> None:
        def work(conn: Connection) -> int:
            return deliveries.orphaned(conn, self._store.outbox, self.owner, self._clock.now(), alone=alone)

        if left := await self._store.database.write(work):
            log.warning("mails whose outcome is unknown: see `switchboard deliveries list --state unknown`", mails=left)


def _new_name() -> str:
    return f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:12]}"
