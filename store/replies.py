"""Replies that were requested. A reply's id is unique for ever, so that asking twice gives one."""

from collections.abc import Sequence

from sqlalchemy import bindparam, select
from sqlalchemy.engine import Connection

from schemas.interaction import EmailContent, Interaction
from schemas.reply import Reply, Thread
from store.outbox import Outbox
from store.sql import Written
from store.tables import replies


def request(conn: Connection, out: Outbox, made: Sequence[Reply]) -> list[str]:
    """Keep replies and hand them to the senders, in this order. The ids of those that are new.

    The caller holds the locks of their conversations.
    """
    if not made:
        return []
    known = set(conn.scalars(_KNOWN, {"wanted": [reply.id for reply in made]}))
    new = [reply for reply in made if reply.id not in known]
    if new:
        conn.execute(
            _INSERT,
            [
                {
                    "id": reply.id,
                    "conversation_id": reply.conversation_id,
                    "created_at": reply.created_at,
                    "body": Written(reply.model_dump_json().encode()),
                }
                for reply in new
            ],
        )
        out.put_many(conn, new, new=True)
    return [reply.id for reply in new]


_KNOWN = select(replies.c.id).where(replies.c.id.in_(bindparam("wanted", expanding=True)))
_INSERT = replies.insert()


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
