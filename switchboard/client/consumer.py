"""The queue as an async iterator."""

import asyncio
import contextlib
import io
import logging
import mimetypes
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import aiohttp

from switchboard.client.errors import (
    Conflict,
    NotThere,
    SwitchboardClientError,
    Unauthorized,
    Unreachable,
    error_of,
)
from switchboard.client.items import WorkItem, item_of, item_path

TIMEOUT_S = 20.0
POLL_S = 1.0
"""How often to ask when the server cannot tell by itself that work waits."""
LONG_POLL_S = 15.0
"""How often to ask when it can."""
RETRY_CAP_S = 5.0
GIVE_UP_S = 120.0
FIRST_GIVE_UP_S = 10.0
"""A server that has never answered is more likely wrong than restarting."""
GIVE_BACK_S = 3.0

log = logging.getLogger("switchboard.client")


class QueueConsumer:
    """Takes work items one after another. `token` defaults to the environment's SWITCHBOARD_TOKEN.

    Iterating never ends by itself; connection losses are waited out. What is held when the consumer is closed
    is given back. Raises Unauthorized, Unreachable.
    """

    def __init__(self, url: str, token: str | None = None) -> None:
        self._url = url.rstrip("/") + "/api/desk"
        self._token = token or os.environ.get("SWITCHBOARD_TOKEN", "")
        if not self._token:
            raise Unauthorized("no token", hint="pass one, or set SWITCHBOARD_TOKEN")
        self._held: dict[str, WorkItem] = {}
        self._session: aiohttp.ClientSession | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._heartbeat_s = 10.0
        self._news = asyncio.Event()
        self._watching = False
        self.name = ""
        """The agent that the token belongs to."""

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {self._token}"}, timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)
        )
        try:
            me = await self.call("GET", "/me")
        except BaseException:
            await self._session.close()
            raise
        self.name, self._heartbeat_s = me["name"], me["heartbeat_s"]
        self._tasks = [
            asyncio.create_task(self._renew_all(), name=f"switchboard heartbeat {self.name}"),
            asyncio.create_task(self._watch(self._session), name=f"switchboard watch {self.name}"),
        ]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        assert self._session is not None
        try:
            with contextlib.suppress(SwitchboardClientError, TimeoutError):  # then the lease brings it back
                async with asyncio.timeout(GIVE_BACK_S):
                    for item in list(self._held.values()):
                        await item.release()
        finally:
            await self._session.close()

    async def __aiter__(self) -> AsyncIterator[WorkItem]:
        while True:
            self._news.clear()  # before asking, so that what comes meanwhile is not overlooked
            item = await self.next()
            if item is not None:
                yield item
                continue
            patience = LONG_POLL_S if self._watching else POLL_S
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience * random.uniform(0.5, 1.0)):  # noqa: S311 - not all at once
                    await self._news.wait()

    async def next(self) -> WorkItem | None:
        """Accept the next work item; None when nothing waits. Raises Conflict when you hold too many."""
        found = await self.call("POST", "/work-items/next")
        return None if found is None else self._hold(found)

    async def accept(self, item_id: str) -> WorkItem:
        """Accept this work item. Raises Conflict when somebody else has it."""
        return self._hold(await self.call("POST", item_path(item_id, "accept")))

    async def waiting(self) -> list[dict[str, Any]]:
        """What waits, in the order in which it is handed out."""
        line = await self.call("GET", "/work-items")
        return list(line["waiting"])

    async def line(self, reference: str | None = None) -> list[dict[str, Any]]:
        """What this agent holds, and what waits, in the order in which it is handed out; of one reference (SB-1042)."""
        query = "" if reference is None else f"?reference={quote(reference, safe='')}"
        line = await self.call("GET", f"/work-items{query}")
        return [*line["mine"], *line["waiting"]]

    async def find(self, reference: str) -> str:
        """The id of the work item under a reference. Raises NotThere, Conflict when there are several."""
        found = [str(item["id"]) for item in await self.line(reference)]
        if not found:
            raise NotThere(f"nothing of {reference} waits for you, or is with you", hint="switchboard agents queue")
        if len(found) > 1:
            raise Conflict(f"{reference} has {len(found)} work items: name one by its id", hint=", ".join(found))
        return found[0]

    async def run(self, handle: Callable[[WorkItem], Awaitable[None]], *, concurrency: int = 1) -> None:
        """Hand every item to `handle`, `concurrency` at a time, until cancelled. Raises Unauthorized, Unreachable.

        What `handle` neither completes nor releases, or fails on, is released; a failure is logged, and the next
        item waits a moment, because it may well be the same one.
        """

        async def worker() -> None:
            async for item in self:
                try:
                    await handle(item)
                except (Unauthorized, Unreachable):
                    raise
                except Exception:
                    log.exception("the handler failed: %s is given back", item.reference)
                    await self._give_back(item)
                    await asyncio.sleep(POLL_S)
                else:
                    await self._give_back(item)

        try:
            async with asyncio.TaskGroup() as group:
                for number in range(concurrency):
                    group.create_task(worker(), name=f"switchboard worker {number}")
        except* SwitchboardClientError as failed:
            first = failed.exceptions[0]
            while isinstance(first, ExceptionGroup):
                first = first.exceptions[0]
            error = first
        else:
            return
        raise error

    async def _give_back(self, item: WorkItem) -> None:
        if item.id in self._held:
            with contextlib.suppress(SwitchboardClientError):  # then the lease brings it back
                await item.release()

    def forget(self, item: WorkItem) -> None:
        """Stop renewing an item's lease."""
        self._held.pop(item.id, None)

    def _hold(self, found: dict[str, Any]) -> WorkItem:
        item = item_of(self, found)
        self._held[item.id] = item
        return item

    async def upload(self, file: Path) -> str:
        """A file for an answer: what names it there. Raises OSError when it cannot be read."""
        data = await asyncio.to_thread(file.read_bytes)
        kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"

        def form() -> aiohttp.FormData:
            made = aiohttp.FormData(quote_fields=False)
            made.add_field("file", io.BytesIO(data), filename=file.name, content_type=kind)
            return made

        return str((await self.call("POST", "/files", form=form))["id"])

    async def call(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        form: Callable[[], aiohttp.FormData] | None = None,
    ) -> Any:
        """One API call, repeated while the server is away: every call is safe to repeat."""
        if self._session is None:
            raise RuntimeError("use `async with QueueConsumer(…)`")
        loop = asyncio.get_running_loop()
        give_up, attempt = loop.time() + (GIVE_UP_S if self.name else FIRST_GIVE_UP_S), 0
        while True:
            try:
                what: Any = {"json": body} if form is None else {"data": form()}
                async with self._session.request(method, self._url + path, **what) as response:
                    if response.status == 204:
                        return None
                    answer = await response.json(content_type=None)
                    if response.status < 300:
                        return answer
                    if response.status not in (429, 502, 503, 504):
                        raise error_of(response.status, answer)
                    problem = f"{response.status} {answer.get('detail', '') if isinstance(answer, dict) else ''}"
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                problem = f"{type(error).__name__}: {error}"
            if loop.time() > give_up:
                raise Unreachable(f"{self._url}: {problem}", hint="is Switchboard running, and the address right?")
            await asyncio.sleep(_pause(attempt))
            attempt += 1

    async def _renew_all(self) -> None:
        while True:
            await asyncio.sleep(self._heartbeat_s)
            for item in list(self._held.values()):
                try:
                    await item.renew()
                except SwitchboardClientError as error:
                    if not error.temporary:
                        self.forget(item)  # the holder learns it from the next call

    async def _watch(self, session: aiohttp.ClientSession) -> None:
        """Listen for work, so that nobody has to ask all the time. Asking works without it, so it only goes on."""
        attempt = 0
        while True:
            try:
                async with session.ws_connect(self._url + "/ws", heartbeat=20.0) as socket:
                    async for frame in socket:
                        attempt, self._watching = 0, True
                        if frame.type is aiohttp.WSMsgType.TEXT and frame.json().get("waiting"):
                            self._news.set()
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                log.debug("the line cannot be watched: %s", error)
            self._watching = False
            self._news.set()
            await asyncio.sleep(_pause(attempt))
            attempt += 1


def _pause(attempt: int) -> float:
    """Seconds before trying again: longer each time, and not the same for everybody."""
    return min(RETRY_CAP_S, 0.1 * 2.0 ** min(attempt, 10)) * random.uniform(0.5, 1.0)  # noqa: S311
