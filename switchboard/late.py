"""Services that need something of those before them to be made."""

import asyncio
from collections.abc import Callable

from runtime.lifecycle import Service


class Late:
    """A service that can only be made when those before it have started."""

    def __init__(self, make: Callable[[], Service], name: str) -> None:
        self.name = name
        self._make = make
        self._service: Service | None = None

    async def start(self) -> None:
        self._service = self._make()
        await self._service.start()

    async def drain(self) -> None:
        if self._service is not None:
            await self._service.drain()

    async def stop(self) -> None:
        if self._service is not None:
            await self._service.stop()

    async def failed(self) -> BaseException:
        failed = getattr(self._service, "failed", None)
        if failed is None:
            await asyncio.Event().wait()
        error: BaseException = await failed()  # type: ignore[misc]
        return error
