"""Reading a work item with its conversation, for the agent who works on it."""

from sqlalchemy import select
from sqlalchemy.engine import Connection

from agents.models import Answer, Item, Message
from schemas.work_item import WorkItem
from store import decisions, deliveries, ledger, replies
from store.accepting import NOTE
from store.tables import conversations


def view(conn: Connection, item: WorkItem) -> Item:
    messages = []
    found = ledger.of_conversation(conn, item.conversation_id)
    made = decisions.latest(conn, [interaction.id for _, interaction in found if interaction is not None])
    for standing, interaction in found:
        if interaction is None:
            continue
        messages.append(
            Message(
                id=interaction.id,
                seq=interaction.seq,
                at=interaction.received_at,
                sender=interaction.sender.address,
                sender_name=interaction.sender.name or ("visitor" if interaction.sender.kind == "session" else ""),
                verdict=interaction.sender.verdict,
                subject=interaction.subject,
                text=interaction.text,
                state=standing.state.value,
                flags=interaction.flags,
                is_note=NOTE in interaction.flags,
                attachments=tuple(a.name or a.media_type for a in interaction.attachments),
                why=tuple(decisions.in_words(*made[interaction.id])) if interaction.id in made else (),
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
