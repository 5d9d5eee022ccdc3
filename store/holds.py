"""Setting interactions aside for a person to look at, and putting them back in front of the router."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.engine import Connection

from schemas.errors import NotFound, StateConflict
from schemas.interaction import Interaction
from schemas.states import InteractionState, WorkItemState
from schemas.work_item import WorkItem
from store import decisions, desk, ledger, policies, work_items
from store.ledger import Standing
from store.outbox import Outbox
from store.sql import json_text
from store.tables import interactions


def listing(conn: Connection, queues: Collection[str], limit: int) -> list[tuple[Standing, Interaction]]:
    """What is set aside, the latest first; with `queues`, what may come to one of these."""
    held = interactions.c.state == InteractionState.HELD.value
    query = select(interactions.c.id).where(held, interactions.c.body.is_not(None))
    if queues:
        query = query.where(json_text(conn.dialect.name, interactions.c.body, "queue").in_(queues))
    wanted = list(conn.scalars(query.order_by(interactions.c.accepted_at.desc(), interactions.c.id).limit(limit)))
    found = ledger.find_all(conn, wanted)
    return [(standing, kept) for standing, kept in map(found.__getitem__, wanted) if kept is not None]


def hold(
    conn: Connection, out: Outbox, *, item_id: str, agent: str, epoch: int, reason: str, now: datetime
) -> WorkItem:
    """Set a work item's messages aside; the item is canceled. Raises NotFound, LeaseLost."""
    item = desk.locked(conn, item_id, agent, epoch)
    last = ledger.highest_open_seq(conn, item.conversation_id)
    waiting = ledger.ids_in_state(conn, item.conversation_id, InteractionState.QUEUED, last)
    ledger.move(
        conn,
        waiting,
        InteractionState.HELD,
        frm=[InteractionState.QUEUED],
        actor=f"agent:{agent}",
        at=now,
        reason=reason,
    )
    return work_items.move(conn, out, item_id, WorkItemState.CANCELED, now=now, reason=f"held: {reason}")


def release(conn: Connection, out: Outbox, interaction_id: str, *, actor: str, now: datetime) -> int:
    """Have a held interaction decided again, without the holds it was ever released from. The round. Raises
    NotFound, StateConflict."""
    return decide_again(conn, out, interaction_id, InteractionState.HELD, actor=actor, now=now)


def close(conn: Connection, interaction_id: str, *, reason: str, actor: str, now: datetime) -> None:
    """Close a held interaction unanswered. Raises NotFound, StateConflict."""
    _standing_in(conn, interaction_id, InteractionState.HELD)
    frm = [InteractionState.HELD]
    ledger.move(conn, [interaction_id], InteractionState.CLOSED, frm=frm, actor=actor, at=now, reason=reason)


def decide_again(
    conn: Connection, out: Outbox, interaction_id: str, frm: InteractionState, *, actor: str, now: datetime
) -> int:
    """Put an interaction back in front of the router, with the policy of today. Raises NotFound, StateConflict."""
    _standing_in(conn, interaction_id, frm)
    interaction = ledger.load(conn, [interaction_id]).get(interaction_id)
    if interaction is None:
        raise NotFound(f"no interaction {interaction_id!r}", hint="switchboard interactions list")
    released = interaction.without_holds_of
    if frm is InteractionState.HELD:
        made = decisions.of_interaction(conn, interaction_id)
        held_by = made[-1][0].hold_rule if made else None
        released = released if held_by is None or held_by in released else (*released, held_by)
    raised: Interaction = interaction.model_copy(
        update={
            "round": interaction.round + 1,
            "policy_version": policies.active_version(conn),
            "released": released,
            "released_from": None,
        }
    )
    if not ledger.reissue(conn, raised, frm=frm, actor=actor, at=now):
        raise StateConflict(f"interaction {interaction_id} is not {frm}")
    out.put(conn, raised)
    return raised.round


def _standing_in(conn: Connection, interaction_id: str, state: InteractionState) -> None:
    standing = ledger.standings(conn, [interaction_id]).get(interaction_id)
    if standing is None:
        raise NotFound(f"no interaction {interaction_id!r}", hint="switchboard interactions list")
    if standing.state is not state:
        hint = "switchboard dead-letters replay" if standing.state is InteractionState.DEAD_LETTER else ""
        raise StateConflict(f"interaction {interaction_id} is {standing.state}, not {state}", hint=hint)
