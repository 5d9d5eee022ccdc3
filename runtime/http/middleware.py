"""Pure ASGI middleware: a gate that is shut during the start, a limit on bodies, and security headers."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runtime.http.problem import RETRY_AFTER_S, problem_response

CONTENT_SECURITY_POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


_DISCARD_S = 2.0


HEALTH_PAGES = frozenset({"/healthz", "/readyz", "/metrics"})


class Gate:
    """Answers 503 until `is_open`, but on the pages that say how the process is: it listens before it can serve."""

    def __init__(self, app: ASGIApp, is_open: Callable[[], bool]) -> None:
        self._app = app
        self._is_open = is_open

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._is_open() or scope["path"] in HEALTH_PAGES:
            await self._app(scope, receive, send)
            return
        retry = {"Retry-After": str(RETRY_AFTER_S)}
        response = problem_response(503, "This process is starting.", code="starting", headers=retry)
        # To a WebSocket, too: the handshake may be refused with a whole answer.
        await response(scope, receive, send)


class _TooLargeError(Exception):
    pass


class BodyLimit:
    """Answers 413 to a body over `max_bytes`, declared or streamed, before more of it is held in memory."""

    def __init__(self, app: ASGIApp, max_bytes: int, larger: Mapping[str, int] | None = None) -> None:
        """`larger`: path → its own limit."""
        self._app = app
        self._max = max_bytes
        self._larger = larger or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        most = self._larger.get(scope["path"], self._max)
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if not declared.isdigit() or int(declared) > most:
            await self._refuse(scope, receive, send, most)
            return
        seen = 0
        started = False

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > most:
                raise _TooLargeError
            return message

        async def noting(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, counted, noting)
        except _TooLargeError:
            if not started:
                await self._refuse(scope, receive, send, most)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, most: int) -> None:
        # A connection closed on unread bytes is reset, and the client never sees why: so a little more
        # is read and thrown away first.
        spare = max(most, 1_048_576)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DISCARD_S):
                while spare > 0:
                    message = await receive()
                    if message["type"] != "http.request" or not message.get("more_body"):
                        break
                    spare -= len(message.get("body", b""))
        detail = f"The body is over the limit of {most} bytes."
        response = problem_response(413, detail, headers={"Connection": "close"})
        await response(scope, receive, send)


class SecurityHeaders:
    """Adds what keeps a browser from being talked into things. A header that a route has set stays."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, with_headers)
