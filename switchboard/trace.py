"""What `switchboard trace` tells: the story of an interaction or a conversation, in order of time."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.engine import Connection

from rules.explain import describe
from schemas.errors import NotFound
from store import decisions, deliveries, history, ledger, replies, work_items
from store.tables import interactions


def lines_of(conn: Connection, identity: str) -> list[dict[str, Any]]:
    """Rows with at, event, text and what else is known. `identity`: an interaction's id or a reference (SB-1042).

    Raises NotFound.
    """
    rows = []
    for interaction_id, conversation_id in targets(conn, identity):
        for entry in history.of_interaction(conn, interaction_id, conversation_id):
            words = " · ".join(f"{key} {value}" for key, value in (entry.detail or {}).items())
            rows.append(_row(entry.at, entry.event, f"by {entry.actor} {words}".strip(), interaction_id))
        for decision, refused in decisions.of_interaction(conn, interaction_id):
            if refused and not decision.refused:  # by what has been sent already, which triage does not know
                decision = decision.model_copy(update={"outcome": "queue", "answer": None, "refused": refused})
            text = "\n".join(line for line in describe(decision) if "did not fire" not in line)
            rows.append(_row(decision.decided_at, "decision", text, interaction_id, decision=decision.id))
    conversation_ids = {conversation for _, conversation in targets(conn, identity)}
    for conversation_id in conversation_ids:
        for reply in replies.of_conversation(conn, conversation_id):
            text = f"{reply.author.kind} {reply.author.name}: {reply.text[:160]!r}"
            rows.append(_row(reply.created_at, "reply", text, None, reply=reply.id))
        for delivery in deliveries.of_conversation(conn, conversation_id):
            text = f"to {delivery.recipient or 'the page'} {delivery.detail}".strip()
            rows.append(_row(delivery.changed_at, f"delivery {delivery.state}", text, None, reply=delivery.reply_id))
        for item in work_items.of_conversation(conn, conversation_id):
            text = f"{item.queue}, {item.tier}, due {item.deadline:%Y-%m-%d %H:%M} UTC"
            owner = f", {item.agent}" if item.agent else ""
            rows.append(
                _row(item.at, f"work item {item.state}", f"{text}{owner} {item.reason}".strip(), None, item=item.id)
            )
    return sorted(rows, key=lambda row: row["at"])


def _row(at: Any, event: str, text: str, interaction_id: str | None, **more: str) -> dict[str, Any]:
    return {"at": at, "event": event, "text": text, "interaction_id": interaction_id, **more}


def targets(conn: Connection, identity: str) -> list[tuple[str, str]]:
    """(interaction, conversation) for an interaction's id or a reference such as SB-1042. Raises NotFound."""
    standing = ledger.standings(conn, [identity]).get(identity)
    if standing is not None:
        return [(standing.id, standing.conversation_id)]
    conversation_id = _by_reference(conn, identity)
    if conversation_id is None:
        raise NotFound(f"no interaction or conversation {identity!r}", hint="switchboard interactions list")
    query = select(interactions.c.id).where(interactions.c.conversation_id == conversation_id)
    return [(found, conversation_id) for found in conn.scalars(query)]


def _by_reference(conn: Connection, reference: str) -> str | None:
    from store.conversations import FIRST_NUMBER
    from store.tables import conversations

    digits = "".join(c for c in reference if c.isdigit())
    if not digits or len(digits) > 15:
        return None
    query = select(conversations.c.id).where(conversations.c.number == int(digits) - FIRST_NUMBER)
    found = conn.scalar(query)
    if found is None or reference == digits:
        return found
    known = {interaction.reference.lower() for _, interaction in ledger.of_conversation(conn, found) if interaction}
    return found if reference.strip().lower() in known else None
