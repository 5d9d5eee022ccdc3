"""The chat's page and its WebSocket."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.websockets import WebSocket

from channels.chat.page import render
from channels.chat.push import ChatPush
from channels.chat.settings import ChatSettings
from channels.chat.socket import POLICY_VIOLATION, ChatSocket
from channels.port import Context
from runtime.http.limits import TokenBuckets
from runtime.http.problem import Problem


def make_router(context: Context, accounts: Mapping[str, ChatSettings], push: ChatPush) -> APIRouter:
    """Routes of all chat accounts."""
    router = APIRouter()
    buckets = {
        name: TokenBuckets(settings.messages_per_second, settings.burst, context.clock)
        for name, settings in accounts.items()
    }

    @router.websocket("/chat/{account}/ws")
    async def socket(socket: WebSocket, account: str) -> None:
        settings = accounts.get(account)
        if settings is None or not _may(socket.headers.get("origin"), settings, context.public_url, socket):
            await socket.close(POLICY_VIOLATION)
            return
        await ChatSocket(socket, context, account, settings, push, buckets[account]).serve()

    @router.get("/chat/{account}", include_in_schema=False)
    async def page(request: Request, account: str) -> Response:
        settings = accounts.get(account)
        if settings is None:
            raise Problem(404, "There is no such chat.")
        return HTMLResponse(render(account, settings.title))

    return router


def _may(origin: str | None, settings: ChatSettings, public_url: str, socket: WebSocket) -> bool:
    """A browser says which site the page comes from; programs that are none say nothing."""
    if origin is None:
        return True
    allowed = {site.rstrip("/") for site in settings.origins}
    host = socket.headers.get("host", "")
    return origin in allowed or origin == public_url or urlsplit(origin).netloc == host
