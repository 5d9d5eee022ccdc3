"""Reading a work item with its conversation, for the agent who works on it."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.engine import Connection

from agents.models import Answer, Item, Message
from schemas.interaction import EmailContent, Interaction
from schemas.reply import Reply
from schemas.states import DeliveryState
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
                automatic=_class(interaction),
                is_note=NOTE in interaction.flags,
                attachments=tuple(a.name or a.media_type for a in interaction.attachments),
                why=tuple(decisions.in_words(*made[interaction.id])) if interaction.id in made else (),
            )
        )
    sent: dict[str, list[deliveries.Row]] = {}
    for row in deliveries.of_conversation(conn, item.conversation_id):
        sent.setdefault(row.reply_id, []).append(row)
    answers = [_answer(reply, sent.get(reply.id, [])) for reply in replies.of_conversation(conn, item.conversation_id)]
    linked = conn.scalar(select(conversations.c.linked_to).where(conversations.c.id == item.conversation_id))
    return Item(
        item=item,
        messages=tuple(messages),
        answers=tuple(answers),
        linked_to=linked,
        highest_seq=max((m.seq for m in messages), default=0),
    )


def _class(interaction: Interaction) -> str:
    known = interaction.content.automatic_class if isinstance(interaction.content, EmailContent) else ""
    return known or ("automatic" if interaction.automatic else "")


def _answer(reply: Reply, rows: Sequence[deliveries.Row]) -> Answer:
    """Its delivery in words: one for all when they agree, else the customer's first."""
    ordered = sorted(rows, key=lambda row: row.recipient != reply.recipient.address)
    words = dict.fromkeys(f"{row.state}: {row.detail}" if row.detail else row.state.value for row in ordered)
    waits = all(row.state is DeliveryState.PENDING and not row.attempt for row in rows)
    return Answer(
        id=reply.id,
        at=reply.created_at,
        author=reply.author.name,
        automatic=reply.automatic,
        text=reply.text,
        delivery="; ".join(words) or "on its way",
        cc=reply.cc,
        files=tuple(each.name or each.media_type for each in reply.files),
        undo_until=reply.not_before if waits else None,
        is_deferred=any(row.state is DeliveryState.DEFERRED for row in rows),
        is_unknown=any(row.state is DeliveryState.UNKNOWN for row in rows),
    )
