"""The desk's WebSocket: the line, pushed when it changes; heartbeats renew what the agent holds."""

import contextlib
from typing import Any

from fastapi import APIRouter
from sqlalchemy.engine import Connection
from starlette.websockets import WebSocket

from agents import access
from agents.port import Context
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
            return await database.read(lambda conn: _line(conn, access.agent_of(principal)))

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


def _line(conn: Connection, agent: Agent) -> dict[str, Any]:
    waiting = work_items.line(conn, agent.queues, LINE)
    mine = work_items.of_agent(conn, agent.name)
    return {
        "type": "line",
        "waiting": [item.model_dump(mode="json") for item in waiting],
        "mine": [item.model_dump(mode="json") for item in mine],
    }
