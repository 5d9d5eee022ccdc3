"""Who is asking: bearer tokens of requests and WebSockets. A token is never taken from the URL, which is logged."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.websockets import WebSocket, WebSocketDisconnect

from runtime.http.problem import Problem
from schemas.errors import TemporaryError

SUBPROTOCOL = "bearer"
POLICY_VIOLATION, TRY_AGAIN_LATER = 1008, 1013
_CHECK_TIMEOUT_S = 5.0
_MAX_TOKEN = 4096


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller that proved who it is: `id` within its `kind`, and what else the check knows about it."""

    kind: str
    id: str
    claims: dict[str, Any] = field(default_factory=dict)
    again: "Callable[[], Awaitable[Principal | None]] | None" = field(default=None, repr=False, compare=False)
    """Of a socket, which outlives a request: check once more; None when the token is no longer valid."""


TokenCheck = Callable[[str], Awaitable[Principal | None]]
"""Gives the principal of a token, or None if it is not valid. Raises a TemporaryError if it cannot tell."""


class CheckTimeout(TemporaryError):
    """The sign-in check did not answer in time."""


def bearer_token(headers: Headers) -> str | None:
    """The token of the `Authorization: Bearer` header, if there is one of a sane size."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    token = token.strip()
    return token if scheme.lower() == "bearer" and 0 < len(token) <= _MAX_TOKEN else None


def require(check: TokenCheck) -> Callable[[Request], Awaitable[Principal]]:
    """A FastAPI dependency: the caller's principal, or 401."""

    async def dependency(request: Request) -> Principal:
        token = bearer_token(request.headers)
        principal = await _checked(check, token) if token else None
        if principal is None:
            raise Problem(401, "A valid bearer token is needed.", headers={"WWW-Authenticate": "Bearer"})
        return principal

    return dependency


async def accept_websocket(socket: WebSocket, check: TokenCheck, *, timeout_s: float = 10.0) -> Principal | None:
    """Accept the socket and find out who is there; None if nobody valid is (the socket is closed then).

    The token comes in the Authorization header, as `Sec-WebSocket-Protocol: bearer, TOKEN` (all that
    a browser can set), or as the first message `{"type": "auth", "token": "…"}` within `timeout_s`.
    """
    token = bearer_token(socket.headers)
    offered: list[str] = socket.scope.get("subprotocols", [])
    by_protocol = len(offered) == 2 and offered[0] == SUBPROTOCOL
    await socket.accept(subprotocol=SUBPROTOCOL if SUBPROTOCOL in offered else None)
    if token is None and by_protocol:
        token = offered[1]
    try:
        if token is None:
            async with asyncio.timeout(timeout_s):
                token = _token_of(await socket.receive_text())
        principal = await _checked(check, token) if token else None
    except WebSocketDisconnect:
        return None
    except (TimeoutError, KeyError):  # KeyError: starlette's way to say that the frame was binary
        principal = None
    except TemporaryError:
        await socket.close(TRY_AGAIN_LATER)
        return None
    if principal is None or token is None:
        await socket.close(POLICY_VIOLATION, "a valid token is needed")
        return None
    valid = token
    return replace(principal, again=lambda: _checked(check, valid))


def _token_of(text: str) -> str | None:
    if len(text) > _MAX_TOKEN + 256:
        return None
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(message, dict) or message.get("type") != "auth":
        return None
    token = message.get("token")
    return token if isinstance(token, str) else None


async def _checked(check: TokenCheck, token: str) -> Principal | None:
    try:
        async with asyncio.timeout(_CHECK_TIMEOUT_S):
            return await check(token)
    except TimeoutError as error:
        raise CheckTimeout("The sign-in check did not answer in time.") from error
