"""What the live page shows: the ledger's sum, and the latest interactions with their decisions' reasons."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from sqlalchemy import select
from sqlalchemy.engine import Connection
from starlette.websockets import WebSocket

from ops.port import Context
from runtime.http.auth import Principal, accept_websocket, require
from runtime.http.feed import serve_feed
from schemas.states import InteractionState
from store import ledger
from store.tables import decisions, interactions

STATES = tuple(state.value for state in InteractionState)
RECENT = 30
SNIPPET = 140


def build(context: Context) -> list[APIRouter]:
    """The control room's routers. Everything needs a token: even a subject line is somebody's."""
    router = APIRouter(prefix="/api/ops", tags=["ops"])
    signed_in = require(context.check)
    database = context.store.database

    @router.get("/ledger", summary="Accepted = the sum of the states, by channel")
    async def ledger_(_: Annotated[Principal, Depends(signed_in)]) -> dict[str, Any]:
        return balance_json(await database.read(ledger.balance))

    @router.get("/recent", summary="The latest interactions, each with what was decided and why")
    async def recent_(
        _: Annotated[Principal, Depends(signed_in)], limit: Annotated[int, Query(ge=1, le=200)] = RECENT
    ) -> list[dict[str, Any]]:
        return await database.read(lambda conn: recent(conn, limit))

    @router.websocket("/ws")
    async def events(socket: WebSocket) -> None:
        if await accept_websocket(socket, context.check) is None:
            return

        async def frame() -> dict[str, Any]:
            return await database.read(_frame)

        await serve_feed(socket, frame, subscribe=database.on_commit, unsubscribe=database.off_commit)

    return [router]


def _frame(conn: Connection) -> dict[str, Any]:
    return {"type": "live", "ledger": balance_json(ledger.balance(conn)), "recent": recent(conn, RECENT)}


def balance_json(balance: ledger.Balance) -> dict[str, Any]:
    return {
        "balanced": balance.balanced,
        "total": _line(balance.total),
        "channels": [_line(c) for c in balance.channels],
    }


def _line(line: ledger.ChannelBalance) -> dict[str, Any]:
    return {
        "channel": line.channel,
        "accepted": line.accepted,
        "states": {state: line.states.get(state, 0) for state in STATES},
        "copies": line.copies,
        "refused": line.refused,
        "balanced": line.balanced,
    }


def recent(conn: Connection, limit: int) -> list[dict[str, Any]]:
    """The latest first."""
    query = (
        select(
            interactions.c.id,
            interactions.c.state,
            interactions.c.reason,
            interactions.c.body,
            decisions.c.body.label("decision"),
            decisions.c.refused,
        )
        .outerjoin(decisions, decisions.c.interaction_id == interactions.c.id)
        .where(interactions.c.body.is_not(None))
        .order_by(interactions.c.accepted_at.desc())
        .limit(limit)
    )
    return [_row(row) for row in conn.execute(query)]


def _row(row: Any) -> dict[str, Any]:
    body, decision = row.body, row.decision or {}
    fired = [rule["name"] for rule in decision.get("rules", []) if rule["result"] == "fired"]
    why = [decision["tier_why"]] if decision.get("tier_why") else []
    if fired:
        why.append("rules: " + ", ".join(fired))
    if row.refused:
        why.append(f"no automatic answer: {row.refused}")
    elif decision.get("answer"):
        why.append(
            ("answered" if decision["answer"]["final"] else "acknowledged") + f" by rule {decision['answer']['rule']}"
        )
    return {
        "id": row.id,
        "reference": body["reference"],
        "conversation_id": body["conversation_id"],
        "channel": body["content"]["channel"],
        "from": _who(body["sender"]),
        "verdict": body["sender"]["verdict"],
        "text": (body["subject"] or body["text"])[:SNIPPET],
        "at": body["accepted_at"],
        "state": row.state,
        "reason": row.reason,
        "tier": decision.get("tier"),
        "deadline": decision.get("deadline"),
        "queue": decision.get("queue"),
        "why": why,
    }


def _who(sender: dict[str, Any]) -> str:
    """A name to show; a chat session's id means nothing to anybody."""
    return str(sender["name"] or ("visitor" if sender["kind"] == "session" else sender["address"][:40]))
