"""Replies that were requested. A reply's id is unique for ever, so that asking twice gives one."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.engine import Connection

from schemas.interaction import EmailContent, Interaction
from schemas.reply import Reply, Thread
from store.outbox import Outbox
from store.sql import insert_new
from store.tables import replies


def request(conn: Connection, out: Outbox, reply: Reply) -> bool:
    """Keep the reply and hand it to the senders. False if a reply of that id exists.

    The caller holds the conversation's lock.
    """
    inserted = insert_new(
        conn,
        replies,
        id=reply.id,
        conversation_id=reply.conversation_id,
        created_at=reply.created_at,
        body=reply.model_dump(mode="json"),
    )
    if inserted:
        out.put(conn, reply, new=True)
    return inserted


def get(conn: Connection, reply_id: str) -> Reply | None:
    body = conn.scalar(select(replies.c.body).where(replies.c.id == reply_id))
    return None if body is None else Reply.model_validate(body)


def load(conn: Connection, reply_ids: Sequence[str]) -> dict[str, Reply]:
    rows = conn.execute(select(replies.c.id, replies.c.body).where(replies.c.id.in_(reply_ids)))
    return {row.id: Reply.model_validate(row.body) for row in rows}


def of_conversation(conn: Connection, conversation_id: str) -> list[Reply]:
    """All replies of a conversation, oldest first."""
    rows = conn.scalars(
        select(replies.c.body)
        .where(replies.c.conversation_id == conversation_id)
        .order_by(replies.c.created_at, replies.c.id)
    )
    return [Reply.model_validate(body) for body in rows]


def thread_of(interaction: Interaction) -> Thread:
    """What the customer's mail client needs to show an answer below what it answers (RFC 5322 §3.6.4)."""
    content = interaction.content
    if not isinstance(content, EmailContent):
        return Thread(subject=interaction.subject)
    parents = content.references or content.in_reply_to[:1]
    own = (content.message_id,) if content.message_id else ()
    return Thread(in_reply_to=content.message_id, references=(*parents, *own), subject=interaction.subject)


def session_of(interaction: Interaction) -> str | None:
    return getattr(interaction.content, "session_id", None)
