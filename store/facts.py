"""What triage wants to know besides the interaction: one batched look-up, recorded in the decision."""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import func, select
from sqlalchemy.engine import Connection

from schemas.states import OPEN_WORK_ITEM_STATES
from schemas.structs import Facts, Interaction
from store import customers
from store.tables import conversations, interactions, work_items

WINDOW = timedelta(days=30)
WEEK = timedelta(days=7)
CONTACTS = 50
SEGMENT = "segment:"
"""A customer's tag that begins so names their segment."""


def facts_of(conn: Connection, batch: Sequence[Interaction]) -> dict[str, Facts]:
    """Facts by interaction id, as they stood when each was accepted, as far as the store can tell."""
    if not batch:
        return {}
    customer_ids = {i.customer_id for i in batch}
    known = customers.by_id(conn, sorted(customer_ids))
    earlier: dict[str, list[tuple[object, str]]] = {}
    since = min(i.accepted_at for i in batch) - WINDOW
    for row in conn.execute(
        select(interactions.c.customer_id, interactions.c.accepted_at, interactions.c.id).where(
            interactions.c.customer_id.in_(customer_ids), interactions.c.accepted_at >= since
        )
    ):
        earlier.setdefault(row.customer_id, []).append((row.accepted_at, row.id))
    open_items = {
        customer: count
        for customer, count in conn.execute(
            select(work_items.c.customer_id, func.count())
            .where(
                work_items.c.customer_id.in_(customer_ids),
                work_items.c.state.in_([s.value for s in OPEN_WORK_ITEM_STATES]),
            )
            .group_by(work_items.c.customer_id)
        )
    }
    last_agents = {
        row.id: row.last_agent
        for row in conn.execute(
            select(conversations.c.id, conversations.c.last_agent).where(
                conversations.c.id.in_({i.conversation_id for i in batch})
            )
        )
    }
    result = {}
    for interaction in batch:
        customer = known.get(interaction.customer_id)
        window_start = interaction.accepted_at - WINDOW
        before = [
            interaction.accepted_at - at  # type: ignore[operator]
            for at, other in earlier.get(interaction.customer_id, ())
            if window_start <= at < interaction.accepted_at and other != interaction.id  # type: ignore[operator]
        ]
        tags = customer.tags if customer else ()
        # A sender that failed authentication must not profit from the standing of whom they pose as.
        trusted = interaction.sender.verdict != "failed"
        result[interaction.id] = Facts(
            customer_tier=customer.tier if customer and trusted else None,
            customer_tags=customer.tags if customer and trusted else (),
            customer_segment=next((t.removeprefix(SEGMENT) for t in tags if t.startswith(SEGMENT)), None)
            if trusted
            else None,
            contacts_7d=sum(age <= WEEK for age in before),
            contact_days=tuple(sorted(age.days for age in before)[:CONTACTS]),
            open_items=open_items.get(interaction.customer_id, 0),
            last_agent=last_agents.get(interaction.conversation_id),
            known=customer is not None and customer.created_at < interaction.accepted_at,
        )
    return result
