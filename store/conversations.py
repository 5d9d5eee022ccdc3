"""Threading: which conversation a contact belongs to, decided in the transaction that accepts it.

A known Message-ID joins a conversation only if the sender takes part in it. Otherwise the id is computed from the
root of the references and the sender, so that racing edges compute the same one and a stranger gets a conversation
of their own, linked for agents. A subject proves nothing.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import bindparam, select
from sqlalchemy.engine import Connection

from schemas import ids
from schemas.interaction import ChatContent, Contact, EmailContent
from store.sql import dialect_insert, insert_many_new
from store.tables import conversation_aliases, conversations, participants, thread_index

FIRST_NUMBER = 1000


@dataclass(frozen=True, slots=True)
class Thread:
    """Where a contact belongs, before it has a seq."""

    conversation_id: str
    linked_to: str | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """A contact's place in its conversation."""

    conversation_id: str
    number: int
    seq: int


def resolve(conn: Connection, contact: Contact, collided: str | None = None) -> Thread:
    """The conversation that `contact` belongs to. `collided`: its id, if its native id was taken by other content:
    then a form or a call must not get into the conversation of whoever had that native id first."""
    address = contact.sender.address
    content = contact.content
    known: str | None = None
    if isinstance(content, EmailContent):
        refs = _references(content)
        query = select(thread_index.c.message_id, thread_index.c.conversation_id)
        rows = conn.execute(query.where(thread_index.c.message_id.in_(refs))).all() if refs else []
        if rows:
            by_ref: dict[str, list[str]] = {}
            for message_id, conversation_id in rows:
                by_ref.setdefault(message_id, []).append(conversation_id)
            candidates = [c for ref in refs for c in by_ref.get(ref, ())]  # the latest reference first
            joined = set(
                conn.scalars(
                    select(participants.c.conversation_id).where(
                        participants.c.conversation_id.in_(candidates), participants.c.address == address
                    )
                )
            )
            for candidate in candidates:
                if candidate in joined and address:
                    return Thread(_canonical(conn, candidate))
            known = _canonical(conn, candidates[0])
    own = ids.conversation_id(contact.account, _root(contact, collided), _owner(contact))
    own = _canonical(conn, own)
    return Thread(own, known if known != own else None)


def enter(conn: Connection, thread: Thread, contact: Contact, customer_id: str, at: datetime) -> Place:
    """Give the contact the next seq. Takes the conversation's lock until the transaction ends."""
    values = {
        "id": thread.conversation_id,
        "channel": contact.channel,
        "account": contact.account,
        "customer_id": customer_id,
        "subject": contact.subject,
        "last_seq": 1,
        "last_at": at,
        "linked_to": thread.linked_to,
    }
    row = conn.execute(_enter(conn.dialect.name), values).one()
    if contact.sender.address:
        add_participants(conn, thread.conversation_id, [contact.sender.address])
    if isinstance(contact.content, EmailContent):
        # Not the references: whoever names another's Message-ID must not thereby own it.
        index_messages(conn, thread.conversation_id, [contact.content.message_id])
    return Place(thread.conversation_id, FIRST_NUMBER + row.number, row.last_seq)


@cache
def _enter(dialect: str) -> Any:
    made = dialect_insert(dialect, conversations)
    return made.on_conflict_do_update(
        index_elements=["id"], set_={"last_seq": conversations.c.last_seq + 1, "last_at": made.excluded.last_at}
    ).returning(conversations.c.number, conversations.c.last_seq)


def add_participants(conn: Connection, conversation_id: str, addresses: Iterable[str]) -> None:
    insert_many_new(conn, participants, [{"conversation_id": conversation_id, "address": a} for a in addresses if a])


def index_messages(conn: Connection, conversation_id: str, message_ids: Iterable[str]) -> None:
    """Remember that these Message-IDs (without brackets) belong to the conversation."""
    insert_many_new(
        conn, thread_index, [{"conversation_id": conversation_id, "message_id": m} for m in message_ids if m]
    )


def lock(conn: Connection, conversation_id: str) -> int | None:
    """Take the conversation's lock; its last seq, or None if there is no such conversation."""
    return lock_all(conn, [conversation_id]).get(conversation_id)


def lock_all(conn: Connection, conversation_ids: Collection[str]) -> dict[str, int]:
    """Take the locks of conversations, always in the same order; the last seq of each."""
    if not conversation_ids:
        return {}
    return {row.id: row.last_seq for row in conn.execute(_LOCKED, {"wanted": sorted(set(conversation_ids))})}


_LOCKED = (
    select(conversations.c.id, conversations.c.last_seq)
    .where(conversations.c.id.in_(bindparam("wanted", expanding=True)))
    .order_by(conversations.c.id)
    .with_for_update()
)
_ALIAS = select(conversation_aliases.c.merged_into).where(conversation_aliases.c.id == bindparam("id"))


def _canonical(conn: Connection, conversation_id: str) -> str:
    """Follow merges. Bounded, though a merge always points at a canonical id."""
    for _ in range(8):
        target = conn.scalar(_ALIAS, {"id": conversation_id})
        if target is None:
            break
        conversation_id = target
    return conversation_id


def _references(content: EmailContent) -> Sequence[str]:
    ordered = [*content.in_reply_to, *reversed(content.references)]
    return list(dict.fromkeys(ref for ref in ordered if ref))


def _root(contact: Contact, collided: str | None) -> str:
    content = contact.content
    if isinstance(content, EmailContent):
        refs = content.references or content.in_reply_to
        return refs[0] if refs else (content.message_id or contact.native_id)
    if isinstance(content, ChatContent):
        return content.session_id
    return collided or contact.native_id


def _owner(contact: Contact) -> str:
    # A form or a call is a conversation of its own, a chat's is its session: no address needed to tell them apart.
    return contact.sender.address if isinstance(contact.content, EmailContent) else contact.channel
