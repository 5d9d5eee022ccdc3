"""Reading a work item with its conversation, for the agent who works on it."""

from sqlalchemy import select
from sqlalchemy.engine import Connection

from agents.models import Answer, Item, Message
from schemas.decision import Decision
from schemas.work_item import WorkItem
from store import decisions, deliveries, ledger, replies
from store.tables import conversations


def view(conn: Connection, item: WorkItem) -> Item:
    messages = []
    for standing, interaction in ledger.of_conversation(conn, item.conversation_id):
        if interaction is None:
            continue
        made = decisions.of_interaction(conn, interaction.id)
        messages.append(
            Message(
                id=interaction.id,
                seq=interaction.seq,
                at=interaction.received_at,
                sender=interaction.sender.address,
                sender_name=interaction.sender.name,
                verdict=interaction.sender.verdict,
                subject=interaction.subject,
                text=interaction.text,
                state=standing.state.value,
                flags=interaction.flags,
                attachments=tuple(a.name or a.media_type for a in interaction.attachments),
                why=tuple(why(made[-1][0], made[-1][1])) if made else (),
            )
        )
    states = {
        row.reply_id: f"{row.state}: {row.detail}" if row.detail else row.state.value
        for row in deliveries.of_conversation(conn, item.conversation_id)
    }
    answers = [
        Answer(
            id=reply.id,
            at=reply.created_at,
            author=reply.author.name,
            automatic=reply.automatic,
            text=reply.text,
            delivery=states.get(reply.id, "on its way"),
        )
        for reply in replies.of_conversation(conn, item.conversation_id)
    ]
    linked = conn.scalar(select(conversations.c.linked_to).where(conversations.c.id == item.conversation_id))
    return Item(
        item=item,
        messages=tuple(messages),
        answers=tuple(answers),
        linked_to=linked,
        highest_seq=max((m.seq for m in messages), default=0),
    )


def why(decision: Decision, refused: str) -> list[str]:
    """A decision in a few words: the tier, the target, what fired, what was withheld."""
    lines = [f"{decision.tier} — {decision.tier_why}"]
    if decision.target_why:
        lines.append(f"answer within {decision.target_why}")
    fired = [rule.name for rule in decision.rules if rule.result == "fired"]
    if fired:
        lines.append("rules that fired: " + ", ".join(fired))
    if decision.answer is not None and not refused:
        kind = "answered" if decision.answer.final else "acknowledged"
        lines.append(f"{kind} by rule {decision.answer.rule}")
    if refused:
        lines.append(f"no automatic answer: {refused}")
    lines += [f"problem: {error}" for error in decision.errors]
    return lines
