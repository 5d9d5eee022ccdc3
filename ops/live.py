"""What the live page shows: the ledger's sum, and the latest interactions with their decisions' reasons."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from sqlalchemy import select
from sqlalchemy.engine import Connection
from starlette.websockets import WebSocket

from ops.port import Context
from runtime.http.auth import Principal, accept_websocket, require
from runtime.http.feed import serve_feed
from schemas.decision import Decision
from schemas.states import InteractionState
from store import decisions, ledger
from store.tables import interactions, work_items

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
        principal: Annotated[Principal, Depends(signed_in)], limit: Annotated[int, Query(ge=1, le=200)] = RECENT
    ) -> list[dict[str, Any]]:
        return await database.read(lambda conn: recent(conn, limit, _queues(principal)))

    @router.websocket("/ws")
    async def events(socket: WebSocket) -> None:
        principal = await accept_websocket(socket, context.check)
        if principal is None:
            return

        async def frame(principal: Principal) -> dict[str, Any]:
            return await database.read(lambda conn: _frame(conn, _queues(principal)))

        await serve_feed(socket, principal, frame, subscribe=database.on_commit, unsubscribe=database.off_commit)

    return [router]


def _queues(principal: Principal) -> tuple[str, ...]:
    """The queues that the caller may look into; () = all."""
    return tuple(principal.claims.get("queues", ()))


def _frame(conn: Connection, queues: Sequence[str]) -> dict[str, Any]:
    return {"type": "live", "ledger": balance_json(ledger.balance(conn)), "recent": recent(conn, RECENT, queues)}


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


def recent(conn: Connection, limit: int, queues: Sequence[str] = ()) -> list[dict[str, Any]]:
    """The latest first. With `queues`, only what has come to one of them: nobody sees more here than at the desk."""
    query = select(interactions.c.id, interactions.c.state, interactions.c.reason, interactions.c.body).where(
        interactions.c.body.is_not(None)
    )
    if queues:
        theirs = select(work_items.c.conversation_id).where(work_items.c.queue.in_(queues))
        query = query.where(interactions.c.conversation_id.in_(theirs))
    rows = conn.execute(query.order_by(interactions.c.accepted_at.desc()).limit(limit)).all()
    made = decisions.latest(conn, [row.id for row in rows])
    return [_row(row, *made.get(row.id, (None, ""))) for row in rows]


def _row(row: Any, decision: Decision | None, refused: str) -> dict[str, Any]:
    body = row.body
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
        "tier": decision.tier if decision else None,
        "deadline": decision.deadline.isoformat() if decision else None,
        "queue": decision.queue if decision else None,
        "why": decisions.in_words(decision, refused) if decision else [],
    }


def _who(sender: dict[str, Any]) -> str:
    """A name to show; a chat session's id means nothing to anybody."""
    return str(sender["name"] or ("visitor" if sender["kind"] == "session" else sender["address"][:40]))
