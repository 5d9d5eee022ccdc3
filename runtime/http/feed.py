"""A WebSocket that shows a picture of something and sends it anew whenever it has changed."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from runtime.http.auth import POLICY_VIOLATION, TRY_AGAIN_LATER, Principal
from runtime.logs import get_logger
from schemas.errors import TemporaryError

POLL_S = 2.0
"""Changes that other processes make are seen this late."""
PAUSE_S = 0.1
"""Changes that come together are shown together."""
SEND_TIMEOUT_S = 10.0

log = get_logger(__name__)

Listen = Callable[[Callable[[], None]], None]


async def serve_feed(
    socket: WebSocket,
    principal: Principal,
    frame: Callable[[Principal], Awaitable[dict[str, Any]]],
    *,
    subscribe: Listen,
    unsubscribe: Listen,
    receive: Callable[[Principal, str], Awaitable[None]] | None = None,
) -> None:
    """Until the other side goes away, or may no longer see it. `principal` is `accept_websocket`'s.

    `subscribe` takes a callback for "something changed"; `receive` gets what the other side says. Before each call
    of `frame` and `receive` the token is checked again. Both may raise a TemporaryError: then it goes on.
    """
    changed = asyncio.Event()
    changed.set()
    listener = changed.set
    subscribe(listener)
    # Whichever ends first ends the other: a feed that no longer moves must not look like one where nothing happens.
    tasks = [
        asyncio.create_task(_push(socket, principal, frame, changed), name="feed.push"),
        asyncio.create_task(_listen(socket, principal, receive), name="feed.listen"),
    ]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        unsubscribe(listener)
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    for error in ended:
        if isinstance(error, Exception) and not isinstance(error, _GONE):
            log.warning("a feed has ended", error=repr(error))
    await _close(
        socket, POLICY_VIOLATION if any(isinstance(e, _NoLongerValidError) for e in ended) else TRY_AGAIN_LATER
    )


class _NoLongerValidError(Exception):
    """The token was revoked while the socket was open."""


_GONE = (WebSocketDisconnect, RuntimeError, KeyError, TimeoutError, _NoLongerValidError)
"""What starlette raises when the other side has gone, is too slow, or sends a binary frame."""


async def _close(socket: WebSocket, code: int) -> None:
    with contextlib.suppress(RuntimeError, TimeoutError, WebSocketDisconnect):  # it is closed already
        async with asyncio.timeout(SEND_TIMEOUT_S):
            await socket.close(code)


async def _still(principal: Principal) -> Principal:
    found = await principal.again() if principal.again is not None else principal
    if found is None:
        raise _NoLongerValidError
    return found


async def _listen(
    socket: WebSocket, principal: Principal, receive: Callable[[Principal, str], Awaitable[None]] | None
) -> None:
    while True:
        text = await socket.receive_text()
        if receive is not None:
            with contextlib.suppress(TemporaryError):
                await receive(await _still(principal), text)


async def _push(
    socket: WebSocket,
    principal: Principal,
    frame: Callable[[Principal], Awaitable[dict[str, Any]]],
    changed: asyncio.Event,
) -> None:
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
            found = await frame(await _still(principal))
        except TemporaryError:
            continue
        if found != last:
            last = found
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await socket.send_json(found)
