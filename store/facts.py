"""What triage wants to know besides the interaction: one batched look-up, recorded in the decision."""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import BindParameter, bindparam, func, select, union
from sqlalchemy.engine import Connection

from schemas.decision import ConversationState
from schemas.states import OPEN_WORK_ITEM_STATES, WorkItemState
from schemas.structs import Facts, Interaction
from store import customers
from store.tables import conversations, interactions, work_items

WINDOW = timedelta(days=30)
WEEK = timedelta(days=7)
CONTACTS = 50
MOST = 1000
"""Contacts of one customer that are counted: a machine that writes all day must not slow down everybody's triage."""


def facts_of(conn: Connection, batch: Sequence[Interaction]) -> dict[str, Facts]:
    """Facts by interaction id, as they stood when each was accepted, as far as the store can tell."""
    if not batch:
        return {}
    customer_ids = sorted({i.customer_id for i in batch})
    known = customers.by_id(conn, customer_ids)
    earlier: dict[str, list[tuple[object, str]]] = {}
    since, until = min(i.accepted_at for i in batch) - WINDOW, max(i.accepted_at for i in batch)
    for row in conn.execute(_CONTACTS, {"customers": customer_ids, "since": since, "until": until}):
        earlier.setdefault(row.customer_id, []).append((row.accepted_at, row.id))
    open_items: Counter[str] = Counter()
    states: dict[str, str] = {}
    conversation_ids = sorted({i.conversation_id for i in batch})
    for row in conn.execute(_OPEN, {"customers": customer_ids, "conversations": conversation_ids}):
        open_items[row.customer_id] += 1
        states[row.conversation_id] = row.state
    last_agents = {row.id: row.last_agent for row in conn.execute(_AGENTS, {"conversations": conversation_ids})}
    result = {}
    for interaction in batch:
        customer = known.get(interaction.customer_id)
        window_start = interaction.accepted_at - WINDOW
        before = [
            interaction.accepted_at - at  # type: ignore[operator]
            for at, other in earlier.get(interaction.customer_id, ())
            if window_start <= at < interaction.accepted_at and other != interaction.id  # type: ignore[operator]
        ]
        # A sender that failed authentication must not profit from the standing of whom they pose as.
        trusted = interaction.sender.verdict != "failed"
        result[interaction.id] = Facts(
            customer_tier=customer.tier if customer and trusted else None,
            customer_tags=customer.tags if customer and trusted else (),
            customer_segment=customer.segment if customer and trusted else None,
            agreement=customer.agreement if customer and trusted else None,
            contacts_7d=sum(age <= WEEK for age in before),
            contact_days=tuple(sorted(age.days for age in before)[:CONTACTS]),
            open_items=open_items[interaction.customer_id],
            conversation_state=_state(interaction, states.get(interaction.conversation_id)),
            last_agent=last_agents.get(interaction.conversation_id),
            known=customer is not None and customer.created_at < interaction.accepted_at,
        )
    return result


_customers: BindParameter[str] = bindparam("customers", expanding=True)
_conversations: BindParameter[str] = bindparam("conversations", expanding=True)
_latest = (
    select(
        interactions.c.customer_id,
        interactions.c.accepted_at,
        interactions.c.id,
        func.row_number()
        .over(partition_by=interactions.c.customer_id, order_by=interactions.c.accepted_at.desc())
        .label("number"),
    )
    .where(
        interactions.c.customer_id.in_(_customers),
        interactions.c.accepted_at >= bindparam("since"),
        interactions.c.accepted_at <= bindparam("until"),
    )
    .subquery()
)
_CONTACTS = select(_latest.c.customer_id, _latest.c.accepted_at, _latest.c.id).where(_latest.c.number <= MOST)
_open = select(work_items.c.customer_id, work_items.c.conversation_id, work_items.c.state).where(
    work_items.c.state.in_(sorted(s.value for s in OPEN_WORK_ITEM_STATES))
)
# As one condition with an OR it would be looked for among all open ones.
_OPEN = union(
    _open.where(work_items.c.customer_id.in_(_customers)), _open.where(work_items.c.conversation_id.in_(_conversations))
)
_AGENTS = select(conversations.c.id, conversations.c.last_agent).where(conversations.c.id.in_(_conversations))


def _state(interaction: Interaction, open_item: str | None) -> ConversationState:
    if open_item is not None:
        return "assigned" if open_item == WorkItemState.ASSIGNED.value else "waiting"
    return "new" if interaction.occasion == "first" else "idle"
