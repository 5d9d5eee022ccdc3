"""What agents say of answers that are on their way, or may be."""

from typing import Annotated

from fastapi import APIRouter, Depends
from sqlalchemy.engine import Connection

from agents import access
from agents.conflicts import ours
from agents.files import Files
from agents.models import Settle, Withdrawn
from agents.port import Context
from schemas.errors import NotFound
from schemas.reply import Reply
from store import by_hand, replies, uploads, work_items
from store.agents import Agent


def make_router(context: Context) -> APIRouter:
    router = APIRouter(prefix="/api/desk/replies", tags=["desk"])
    database, outbox = context.store.database, context.store.outbox
    files = Files(context)
    Signed = Annotated[Agent, Depends(access.SignedIn(context.store))]  # noqa: N806 - a type

    async def seen(agent: Agent, reply_id: str) -> Reply:
        """A reply of a conversation that the agent may see. Raises NotFound."""

        def work(conn: Connection) -> Reply | None:
            made = replies.get(conn, reply_id)
            items = [] if made is None else work_items.of_conversation(conn, made.conversation_id)
            return made if any(access.may_see(agent, item) for item in items) else None

        made = await database.read(work)
        if made is None:
            raise NotFound(f"there is no reply {reply_id}")
        return made

    @router.post(
        "/{reply_id}/withdraw",
        summary="Take back a mail of mine that has not gone yet, with all that it had",
        responses={409: {"description": "It is on its way, or gone."}},
    )
    async def withdraw(agent: Signed, reply_id: str) -> Withdrawn:
        now = context.clock.now()
        made = await database.read(lambda conn: replies.get(conn, reply_id))
        if made is None or made.author.kind != "agent" or made.author.name != agent.name:
            raise NotFound(f"there is no reply {reply_id} of yours")

        def work(conn: Connection) -> None:
            by_hand.withdraw(conn, outbox, made, agent.name, now)
            uploads.keep(conn, [each.dataref or "" for each in made.files], now)

        await ours(database.write(work))
        return Withdrawn(
            conversation_id=made.conversation_id,
            reference=made.reference,
            text=made.text,
            cc=made.cc,
            files=tuple(files.given_back(each, agent) for each in made.files),
        )

    @router.post(
        "/{reply_id}/settle",
        summary="Say what became of a mail whose outcome is unknown, for one recipient",
        status_code=204,
        responses={409: {"description": "Its outcome is known; or it is unknown for several (`which-recipient`)."}},
    )
    async def settle(agent: Signed, reply_id: str, word: Settle) -> None:
        await seen(agent, reply_id)
        now = context.clock.now()
        await ours(
            database.write(
                lambda conn: by_hand.resolve(
                    conn, outbox, reply_id, sent=word.sent, now=now, recipient=word.recipient, by=agent.name
                )
            )
        )

    @router.post(
        "/{reply_id}/retry",
        summary="Try a deferred mail at once",
        status_code=204,
        responses={409: {"description": "It is not deferred."}},
    )
    async def retry(agent: Signed, reply_id: str) -> None:
        await seen(agent, reply_id)
        now = context.clock.now()
        await ours(database.write(lambda conn: by_hand.retry(conn, now, reply_id=reply_id)))

    return router
