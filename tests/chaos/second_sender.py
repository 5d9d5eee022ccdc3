"""A second sender as another process would be one: a loop, connections to the store and a presence of its own. It can
be made to stand still, sockets and all, and to go on as if nothing had happened."""

import asyncio
import threading
from collections.abc import Coroutine, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Self, TypeVar

from bus.topics import partition_for
from channels.email.sending.sender import EmailSender
from channels.email.settings import EmailSettings
from channels.port import Context
from channels.presence import Presence
from runtime.looping import Looping
from store.blobs import Blobs
from store.database import Database
from store.intake import Intake
from store.outbox import Outbox
from store.store import Store

T = TypeVar("T")

TTL_S = 1.5
PATIENCE_S = 60.0


class _Guest(Presence):
    async def start(self) -> None:
        # Without a look at who else is there: in an SQLite store that would be nobody, and the first one gone.
        await self._arrive()
        await Looping.start(self)


class SecondSender:
    def __init__(self, context: Context, url: str, folder: Path, accounts: Mapping[str, EmailSettings]) -> None:
        self._database = Database.at(url, folder)
        blobs, outbox = Blobs(folder / "blobs"), Outbox(lambda key: partition_for(key, 6))
        store = Store(self._database, blobs, outbox, Intake(self._database, blobs, outbox))
        self._presence = _Guest(store, context.clock, ttl_s=TTL_S)
        self._sender = EmailSender(replace(context, store=store), accounts, self._presence)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="second sender", daemon=True)
        self._go_on = threading.Event()

    @property
    def owner(self) -> str:
        """Under which name its attempts are made now."""
        return self._presence.owner

    async def __aenter__(self) -> Self:
        self._thread.start()
        await self._there(self._start())
        return self

    async def __aexit__(self, *_: object) -> None:
        self.go_on()
        await self._there(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        await asyncio.to_thread(self._thread.join)
        self._loop.close()

    async def stand_still(self) -> None:
        """From the moment this returns it does nothing at all until `go_on`."""
        standing = threading.Event()
        self._go_on.clear()

        def stand() -> None:
            standing.set()
            self._go_on.wait(PATIENCE_S)

        self._loop.call_soon_threadsafe(stand)
        await asyncio.to_thread(standing.wait, PATIENCE_S)

    def go_on(self) -> None:
        self._go_on.set()

    async def _there(self, work: Coroutine[Any, Any, T]) -> T:
        async with asyncio.timeout(PATIENCE_S):
            return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))

    async def _start(self) -> None:
        await self._database.start()
        await self._presence.start()
        await self._sender.start()

    async def _stop(self) -> None:
        await self._sender.drain()
        await self._sender.stop()
        await self._presence.stop()
        await self._database.stop()
