"""The desk's WebSocket: the line, pushed when it changes; heartbeats renew what the agent holds."""

import asyncio
import contextlib
from typing import Any

from fastapi import APIRouter
from sqlalchemy.engine import Connection
from starlette.websockets import WebSocket, WebSocketDisconnect

from agents import access
from agents.port import Context
from runtime.http.auth import accept_websocket
from runtime.logs import get_logger
from schemas.codec import Invalid, loads_strict
from schemas.errors import SwitchboardError, TemporaryError
from store import work_items
from store.agents import Agent

POLL_S = 2.0
PAUSE_S = 0.1
SEND_TIMEOUT_S = 10.0
LINE = 50

log = get_logger(__name__)


def make_router(context: Context) -> APIRouter:
    router = APIRouter()
    check = access.token_check(context.store)

    @router.websocket("/api/desk/ws")
    async def desk(socket: WebSocket) -> None:
        principal = await accept_websocket(socket, check)
        if principal is None:
            return
        agent = access.agent_of(principal)
        changed = asyncio.Event()
        changed.set()
        context.store.database.on_commit(changed.set)
        pusher = asyncio.create_task(_push(socket, context, agent, changed), name=f"desk.push {agent.name}")
        try:
            while True:
                value = loads_strict((await socket.receive_text()).encode(), limit=4096)
                if isinstance(value, Invalid) or not isinstance(value, dict):
                    await socket.send_json({"type": "error", "detail": "expected a JSON object"})
                elif value.get("type") == "heartbeat":
                    await _renew(context, agent)
        except (WebSocketDisconnect, RuntimeError, KeyError):
            pass
        finally:
            context.store.database.off_commit(changed.set)
            pusher.cancel()
            await asyncio.gather(pusher, return_exceptions=True)

    return router


async def _renew(context: Context, agent: Agent) -> None:
    """The lease of everything that the agent holds."""
    until = context.clock.now() + context.settings.lease

    def work(conn: Connection) -> None:
        for item in work_items.of_agent(conn, agent.name):
            with contextlib.suppress(SwitchboardError):
                work_items.renew(conn, item.id, agent.name, item.epoch, until)

    with contextlib.suppress(TemporaryError):  # the next heartbeat does it
        await context.store.database.write(work)


async def _push(socket: WebSocket, context: Context, agent: Agent, changed: asyncio.Event) -> None:
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
            frame = await context.store.database.read(lambda conn: _line(conn, agent))
        except TemporaryError:
            continue
        if frame != last:
            last = frame
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await socket.send_json(frame)


def _line(conn: Connection, agent: Agent) -> dict[str, Any]:
    waiting = work_items.line(conn, agent.queues, LINE)
    mine = work_items.of_agent(conn, agent.name)
    return {
        "type": "line",
        "waiting": [item.model_dump(mode="json") for item in waiting],
        "mine": [item.model_dump(mode="json") for item in mine],
    }
