"""A WebSocket that shows a picture of something and sends it anew whenever it has changed."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from schemas.errors import TemporaryError

POLL_S = 2.0
"""Changes that other processes make are seen this late."""
PAUSE_S = 0.1
"""Changes that come together are shown together."""
SEND_TIMEOUT_S = 10.0

Listen = Callable[[Callable[[], None]], None]


async def serve_feed(
    socket: WebSocket,
    frame: Callable[[], Awaitable[dict[str, Any]]],
    *,
    subscribe: Listen,
    unsubscribe: Listen,
    receive: Callable[[str], Awaitable[None]] | None = None,
) -> None:
    """Until the other side goes away. `socket` is accepted; `frame` may raise a TemporaryError: then it waits.

    `subscribe` takes a callback for "something changed"; `receive` gets what the other side says.
    """
    changed = asyncio.Event()
    changed.set()
    listener = changed.set
    subscribe(listener)
    pusher = asyncio.create_task(_push(socket, frame, changed), name="feed.push")
    try:
        while True:
            text = await socket.receive_text()
            if receive is not None:
                await receive(text)
    except (WebSocketDisconnect, RuntimeError, KeyError):
        pass
    finally:
        unsubscribe(listener)
        pusher.cancel()
        await asyncio.gather(pusher, return_exceptions=True)


async def _push(socket: WebSocket, frame: Callable[[], Awaitable[dict[str, Any]]], changed: asyncio.Event) -> None:
    last: dict[str, Any] = {}
    while True:
        try:
            async with asyncio.timeout(POLL_S):
                await changed.wait()
            await asyncio.sleep(PAUSE_S)
        except TimeoutError:
            pass
        changed.clear()
        try:
            found = await frame()
        except TemporaryError:
            continue
        if found != last:
            last = found
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await socket.send_json(found)
