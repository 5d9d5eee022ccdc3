"""The desk's WebSocket: the line, pushed when it changes; heartbeats renew what the agent holds."""

import contextlib
from typing import Any

from fastapi import APIRouter
from sqlalchemy.engine import Connection
from starlette.websockets import WebSocket

from agents import access
from agents.port import Context
from agents.view import line_of
from runtime.http.auth import Principal, accept_websocket
from runtime.http.feed import serve_feed
from schemas.codec import Invalid, loads_strict
from schemas.errors import SwitchboardError
from store import work_items
from store.agents import Agent

LINE = 50


def make_router(context: Context) -> APIRouter:
    router = APIRouter()
    check = access.token_check(context.store)
    database = context.store.database

    @router.websocket("/api/desk/ws")
    async def desk(socket: WebSocket) -> None:
        principal = await accept_websocket(socket, check)
        if principal is None:
            return

        async def frame(principal: Principal) -> dict[str, Any]:
            now = context.clock.now()
            line = await database.read(lambda conn: line_of(conn, access.agent_of(principal), LINE, now))
            return {"type": "line", **line.model_dump(mode="json")}

        async def receive(principal: Principal, text: str) -> None:
            value = loads_strict(text.encode(), limit=4096)
            if isinstance(value, Invalid) or not isinstance(value, dict):
                await socket.send_json({"type": "error", "detail": "expected a JSON object"})
            elif value.get("type") == "heartbeat":
                await _renew(context, access.agent_of(principal))

        await serve_feed(
            socket,
            principal,
            frame,
            subscribe=database.on_commit,
            unsubscribe=database.off_commit,
            receive=receive,
        )

    return router


async def _renew(context: Context, agent: Agent) -> None:
    """The lease of everything that the agent holds."""
    until = context.clock.now() + context.settings.lease

    def work(conn: Connection) -> None:
        for item in work_items.of_agent(conn, agent.name):
            with contextlib.suppress(SwitchboardError):
                work_items.renew(conn, item.id, agent.name, item.epoch, until)

    await context.store.database.write(work)
