"""What is set aside for a person: one call holds a work item's messages, one releases a message, one closes it."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import Field

from agents import access
from agents.conflicts import ours
from agents.models import Hold
from agents.port import Context
from runtime.http.problem import Problem
from schemas.base import Instant, Model
from schemas.interaction import Interaction
from schemas.text import Line
from schemas.work_item import WorkItem
from store import holds, ledger, work_items
from store.agents import Agent
from store.ledger import Standing

LIST = 200
EXCERPT = 300
"""Characters of a held message that the list shows."""


class HoldRequest(Hold):
    reason: Line = Field(default="spam", min_length=1, max_length=200, description="Why it is set aside.")


class CloseRequest(Model):
    reason: Line = Field(default="spam", min_length=1, max_length=200, description="Why it needs no answer.")


class Held(Model):
    """A message that was set aside, for a person to release or to close."""

    id: str
    reference: str
    channel: str
    account: str
    at: Instant
    sender: str
    sender_name: str
    verdict: str
    subject: str
    text: str = Field(description="Its beginning.")
    reason: str = Field(description="Why it is held.")


def make_router(context: Context) -> APIRouter:
    router = APIRouter(prefix="/api/desk", tags=["desk"])
    database, outbox = context.store.database, context.store.outbox
    Signed = Annotated[Agent, Depends(access.SignedIn(context.store))]  # noqa: N806 - a type

    async def actor(agent: Agent, interaction_id: str) -> str:
        found = await database.read(lambda conn: ledger.load(conn, [interaction_id]).get(interaction_id))
        if found is None or not access.may_see_held(agent, found):
            raise Problem(404, "There is no such message.", code="not-found")
        return f"agent:{agent.name}"

    @router.post("/work-items/{item_id}/hold", summary="Set its messages aside, until somebody releases them")
    async def hold(agent: Signed, item_id: str, body: HoldRequest) -> WorkItem:
        access.checked(agent, await database.read(lambda conn: work_items.get(conn, item_id)))
        now = context.clock.now()
        return await ours(
            database.write(
                lambda conn: holds.hold(
                    conn, outbox, item_id=item_id, agent=agent.name, epoch=body.epoch, reason=body.reason, now=now
                )
            )
        )

    @router.get("/held", summary="What is set aside, the latest first")
    async def held(agent: Signed, limit: Annotated[int, Query(ge=1, le=LIST)] = 50) -> list[Held]:
        found = await database.read(lambda conn: holds.listing(conn, agent.queues, limit))
        return [_shown(standing, interaction) for standing, interaction in found]

    @router.post("/held/{interaction_id}/release", summary="Decide on it again, without what held it", status_code=204)
    async def release(agent: Signed, interaction_id: str) -> None:
        who, now = await actor(agent, interaction_id), context.clock.now()
        await ours(database.write(lambda conn: holds.release(conn, outbox, interaction_id, actor=who, now=now)))

    @router.post("/held/{interaction_id}/close", summary="It needs no answer", status_code=204)
    async def close(agent: Signed, interaction_id: str, body: CloseRequest) -> None:
        who, now = await actor(agent, interaction_id), context.clock.now()
        await ours(
            database.write(lambda conn: holds.close(conn, interaction_id, reason=body.reason, actor=who, now=now))
        )

    return router


def _shown(standing: Standing, interaction: Interaction) -> Held:
    return Held(
        id=interaction.id,
        reference=interaction.reference,
        channel=interaction.channel,
        account=interaction.account,
        at=interaction.received_at,
        sender=interaction.sender.address,
        sender_name=interaction.sender.name,
        verdict=interaction.sender.verdict,
        subject=interaction.subject,
        text=interaction.text[:EXCERPT],
        reason=standing.reason,
    )
