"""The desk's HTTP API. Every call is one transaction; every object access goes through `agents.access`."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from sqlalchemy.engine import Connection
from starlette.responses import Response

from agents import access
from agents.conflicts import ours
from agents.files import Files
from agents.models import Completed, CompleteRequest, Hold, Item, Line, Me, ReplyRequest
from agents.port import Context
from agents.view import line_of, view
from runtime.http.problem import Problem
from schemas.reply import Reply
from schemas.states import WorkItemState
from schemas.work_item import WorkItem
from store import desk, work_items
from store.agents import Agent

LINE = 200


def make_router(context: Context) -> APIRouter:
    router = APIRouter(prefix="/api/desk", tags=["desk"])
    signed_in = access.SignedIn(context.store)
    files = Files(context)
    database, outbox, settings = context.store.database, context.store.outbox, context.settings
    Signed = Annotated[Agent, Depends(signed_in)]  # noqa: N806 - a type

    async def mine(agent: Agent, item_id: str) -> WorkItem:
        return access.checked(agent, await database.read(lambda conn: work_items.get(conn, item_id)))

    async def claim(agent: Agent, item_id: str | None) -> WorkItem | None:
        now = context.clock.now()
        until = now + settings.lease

        def work(conn: Connection) -> WorkItem | None:
            if item_id is not None:
                known = work_items.get(conn, item_id)
                if known.state is WorkItemState.ASSIGNED and known.agent == agent.name:
                    return known  # asked again, after the response was lost
            if len(work_items.of_agent(conn, agent.name)) >= settings.max_items:
                raise Problem(409, f"You hold {settings.max_items} work items already.", code="too-many-items")
            return work_items.claim(
                conn, outbox, agent.name, queues=agent.queues, now=now, until=until, item_id=item_id
            )

        return await database.write(work)

    @router.get("/me", summary="Who the token belongs to")
    async def me(agent: Signed) -> Me:
        return Me(
            name=agent.name,
            display_name=agent.display_name,
            queues=agent.queues,
            lease_s=settings.lease.total_seconds(),
            heartbeat_s=settings.heartbeat.total_seconds(),
            now=context.clock.now(),
        )

    @router.get("/work-items", summary="What waits, in the order in which it is handed out, and what is mine")
    async def line(
        agent: Signed,
        limit: Annotated[int, Query(ge=1, le=LINE)] = 50,
        reference: Annotated[
            str | None, Query(max_length=100, description="Only what the customer knows by it.")
        ] = None,
    ) -> Line:
        if reference is not None:
            named = await database.read(lambda conn: work_items.under_reference(conn, reference))
            seen = [item for item in named if access.may_see(agent, item)]
            return Line(
                waiting=tuple(item for item in seen if item.state is WorkItemState.QUEUED),
                mine=tuple(item for item in seen if item.agent == agent.name),
            )
        now = context.clock.now()
        return await database.read(lambda conn: line_of(conn, agent, limit, now))

    @router.post(
        "/work-items/next",
        summary="Accept the next work item",
        response_model=Item,
        responses={204: {"description": "Nothing waits."}, 409: {"description": "You hold too many."}},
    )
    async def next_(agent: Signed) -> Item | Response:
        item = await claim(agent, None)
        if item is None:
            return Response(status_code=204)
        return await database.read(lambda conn: view(conn, item, context.in_words))

    @router.get("/work-items/{item_id}", summary="A work item with its conversation")
    async def show(agent: Signed, item_id: str) -> Item:
        item = await mine(agent, item_id)
        return await database.read(lambda conn: view(conn, item, context.in_words))

    @router.post("/work-items/{item_id}/accept", summary="Accept this work item")
    async def accept(agent: Signed, item_id: str) -> Item:
        await mine(agent, item_id)
        item = await ours(claim(agent, item_id))
        assert item is not None
        return await database.read(lambda conn: view(conn, item, context.in_words))

    @router.post("/work-items/{item_id}/renew", summary="Say that somebody is still at it")
    async def renew(agent: Signed, item_id: str, hold: Hold) -> WorkItem:
        await mine(agent, item_id)
        until = context.clock.now() + settings.lease
        return await ours(database.write(lambda conn: work_items.renew(conn, item_id, agent.name, hold.epoch, until)))

    @router.post("/work-items/{item_id}/reply", summary="Answer what has been seen")
    async def reply(agent: Signed, item_id: str, body: ReplyRequest) -> Reply:
        await mine(agent, item_id)
        enclosed = files.enclosed(body, agent)
        now = context.clock.now()
        return await ours(
            database.write(
                lambda conn: desk.reply(
                    conn,
                    outbox,
                    item_id=item_id,
                    agent=agent.name,
                    epoch=body.epoch,
                    key=body.key,
                    text=body.text,
                    answers_through=body.answers_through,
                    now=now,
                    not_before=now + settings.undo,
                    enclosed=enclosed,
                )
            )
        )

    @router.post(
        "/work-items/{item_id}/complete",
        summary="Finish, with a last reply or without",
        responses={409: {"description": "The customer has written since (`newer-messages`), or the lease is lost."}},
    )
    async def complete(agent: Signed, item_id: str, body: CompleteRequest) -> Completed:
        item = await mine(agent, item_id)
        enclosed = files.enclosed(body, agent)
        if item.state == "completed" and item.agent == agent.name and item.epoch == body.epoch:
            # The same request again, after its response was lost; or another one, whose words go nowhere.
            before = await ours(
                database.read(
                    lambda conn: desk.completed_before(conn, item, key=body.key, text=body.text, enclosed=enclosed)
                )
            )
            return Completed(item=item, reply=before)
        now = context.clock.now()
        done, sent = await ours(
            database.write(
                lambda conn: desk.complete(
                    conn,
                    outbox,
                    item_id=item_id,
                    agent=agent.name,
                    epoch=body.epoch,
                    answers_through=body.answers_through,
                    now=now,
                    disposition=body.disposition,
                    key=body.key,
                    text=body.text,
                    not_before=now + settings.undo,
                    enclosed=enclosed,
                )
            )
        )
        return Completed(item=done, reply=sent)

    @router.post("/work-items/{item_id}/release", summary="Give it back, at its old place in line")
    async def release(agent: Signed, item_id: str, hold: Hold) -> WorkItem:
        await mine(agent, item_id)
        now = context.clock.now()
        return await ours(
            database.write(
                lambda conn: desk.release(conn, outbox, item_id=item_id, agent=agent.name, epoch=hold.epoch, now=now)
            )
        )

    return router
