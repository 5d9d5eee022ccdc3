"""What an agent sees: a work item with its conversation, and the line."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.engine import Connection

from agents.models import Answer, Item, Line, Message, Unsent
from agents.outcomes import InWords, in_one_line, outcomes
from schemas.interaction import EmailContent, Interaction
from schemas.reply import Reply
from schemas.states import DeliveryState
from schemas.work_item import WorkItem
from store import by_hand, decisions, deliveries, ledger, replies, work_items
from store.accepting import NOTE
from store.agents import Agent
from store.tables import conversations


def view(conn: Connection, item: WorkItem, in_words: InWords) -> Item:
    messages = []
    found = ledger.of_conversation(conn, item.conversation_id)
    decided = decisions.latest(conn, [interaction.id for _, interaction in found if interaction is not None])
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
                why=tuple(decisions.in_words(*decided[interaction.id])) if interaction.id in decided else (),
            )
        )
    sent: dict[str, list[deliveries.Row]] = {}
    rows = deliveries.of_conversation(conn, item.conversation_id)
    for row in rows:
        sent.setdefault(row.reply_id, []).append(row)
    made = replies.of_conversation(conn, item.conversation_id)
    answers = [_answer(reply, sent.get(reply.id, []), rows, in_words) for reply in made]
    linked = conn.scalar(select(conversations.c.linked_to).where(conversations.c.id == item.conversation_id))
    return Item(
        item=item,
        messages=tuple(messages),
        answers=tuple(answers),
        linked_to=linked,
        highest_seq=max((m.seq for m in messages), default=0),
    )


def line_of(conn: Connection, agent: Agent, limit: int, now: datetime) -> Line:
    """What waits, what the agent holds, and which mails of theirs can be withdrawn."""
    return Line(
        waiting=tuple(work_items.line(conn, agent.queues, limit)),
        mine=tuple(work_items.of_agent(conn, agent.name)),
        unsent=tuple(
            Unsent(
                id=made.id, conversation_id=made.conversation_id, reference=made.reference, undo_until=made.not_before
            )
            for made in by_hand.unsent(conn, agent.name, now)
            if made.not_before is not None
        ),
    )


def _class(interaction: Interaction) -> str:
    known = interaction.content.automatic_class if isinstance(interaction.content, EmailContent) else ""
    return known or ("automatic" if interaction.automatic else "")


def _answer(reply: Reply, rows: Sequence[deliveries.Row], all_rows: Sequence[deliveries.Row], words: InWords) -> Answer:
    ordered = sorted(rows, key=lambda row: row.recipient != reply.recipient.address)
    found = outcomes(ordered, all_rows, words)
    waits = all(row.state is DeliveryState.PENDING and not row.attempt for row in rows)
    return Answer(
        id=reply.id,
        at=reply.created_at,
        author=reply.author.name,
        automatic=reply.automatic,
        text=reply.text,
        delivery=in_one_line(found),
        outcomes=tuple(found),
        cc=reply.cc,
        files=tuple(each.name or each.media_type for each in reply.files),
        undo_until=reply.not_before if waits else None,
    )
