"""Threading: which conversation a contact belongs to, decided in the transaction that accepts it.

A reply token of ours or a known Message-ID joins a conversation only if the sender takes part in it; who was in copy
takes part once verified. Otherwise the id is computed from the root of the references and the sender, so that racing
edges compute the same one and a stranger gets a conversation of their own, linked for agents. A subject proves nothing.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Table, bindparam, exists, select
from sqlalchemy.engine import Connection

from schemas import ids
from schemas.interaction import ChatContent, Contact, EmailContent
from schemas.states import InteractionState
from store.sql import dialect_insert, insert, insert_many_new, rows_of
from store.tables import conversation_aliases, conversations, interactions, participants, thread_index

FIRST_NUMBER = 1000
PARTICIPANT, MENTIONED = "participant", "mentioned"
MENTIONS = 50
"""People in copy of one mail that are remembered."""


@dataclass(frozen=True, slots=True)
class Thread:
    """Where a contact belongs, before it has a seq."""

    conversation_id: str
    linked_to: str | None = None
    is_note: bool = False
    """Its writer takes no part in the conversation, nor does who is in copy."""


@dataclass(frozen=True, slots=True)
class Place:
    """A contact's place in its conversation."""

    conversation_id: str
    number: int
    seq: int


@dataclass(frozen=True, slots=True)
class Asked:
    """A contact whose conversation is wanted. `collided`: its id, if its native id was taken by other content: then a
    form or a call must not get into the conversation of whoever had that native id first."""

    contact: Contact
    collided: str | None = None
    is_note: bool = False
    """An agent of ours has written it: whatever conversation it refers to, it belongs to."""


def resolve(conn: Connection, asked: Sequence[Asked], settled_before: datetime | None = None) -> list[Thread]:
    """The conversation that each belongs to. One that was settled, with nothing since `settled_before`, is left alone:
    a new one begins, linked to it."""
    known = _known_references(conn, asked)
    candidates = {id_ for of_one in known for id_ in of_one}
    roles: dict[tuple[str, str], str] = {}
    if candidates:
        roles = {(r.conversation_id, r.address): r.role for r in conn.execute(_ROLES, {"wanted": sorted(candidates)})}
    computed = [
        ids.conversation_id(each.contact.account, _root(each.contact, each.collided), _owner(each.contact))
        for each in asked
    ]
    canonical = _canonical(conn, {*candidates, *computed})
    over = _over(conn, set(canonical.values()), settled_before)
    threads = []
    for each, of_one, own in zip(asked, known, computed, strict=True):
        mine = next((canonical[id_] for id_ in of_one if each.is_note or _may_join(each.contact, id_, roles)), None)
        # A chat stays its session, a form or a call has nothing that comes later.
        quiet = each.is_note or is_receipt(each.contact)  # it changes nothing for anybody
        is_over = (mine or canonical[own]) in over and not (quiet and mine)
        if is_over and isinstance(each.contact.content, EmailContent):
            fresh = ids.conversation_id(each.contact.account, each.contact.native_id, _owner(each.contact))
            if fresh not in over:
                threads.append(Thread(fresh, mine or canonical[own]))
                continue
        if mine is not None:
            threads.append(Thread(mine, is_note=each.is_note))
            continue
        linked = canonical[of_one[0]] if of_one else None
        threads.append(Thread(canonical[own], linked if linked != canonical[own] else None))
    return threads


def is_receipt(contact: Contact) -> bool:
    """A machine says that a mail was displayed, or delivered and not looked at (RFC 8098)."""
    return isinstance(contact.content, EmailContent) and contact.content.automatic_class == "receipt"


def _may_join(contact: Contact, conversation_id: str, roles: Mapping[tuple[str, str], str]) -> bool:
    sender = contact.sender
    if not sender.address or sender.verdict == "failed":
        return False
    role = roles.get((conversation_id, sender.address))
    return role == PARTICIPANT or (role == MENTIONED and sender.verdict == "verified")


def _over(conn: Connection, conversation_ids: Collection[str], settled_before: datetime | None) -> set[str]:
    """Those of them that were settled long ago."""
    if settled_before is None or not conversation_ids:
        return set()
    return set(conn.scalars(_SETTLED, {"wanted": sorted(conversation_ids), "before": settled_before}))


_SETTLED = select(conversations.c.id).where(
    conversations.c.id.in_(bindparam("wanted", expanding=True)),
    conversations.c.last_at < bindparam("before"),
    ~exists().where(
        interactions.c.conversation_id == conversations.c.id,
        interactions.c.state.not_in([InteractionState.ANSWERED.value, InteractionState.CLOSED.value]),
    ),
)


def _known_references(conn: Connection, asked: Sequence[Asked]) -> list[list[str]]:
    """For each, the conversations of the messages that it refers to, the latest reference first."""
    refs = [references(each.contact) for each in asked]
    wanted = sorted({ref for of_one in refs for ref in of_one})
    by_ref: dict[str, list[str]] = {}
    if wanted:
        for message_id, conversation_id in conn.execute(_INDEXED, {"wanted": wanted}):
            by_ref.setdefault(message_id, []).append(conversation_id)
    return [
        [*_token_of(each.contact), *(id_ for ref in of_one for id_ in by_ref.get(ref, ()))]
        for each, of_one in zip(asked, refs, strict=True)
    ]


_INDEXED = select(thread_index.c.message_id, thread_index.c.conversation_id).where(
    thread_index.c.message_id.in_(bindparam("wanted", expanding=True))
)
_ROLES = select(participants.c.conversation_id, participants.c.address, participants.c.role).where(
    participants.c.conversation_id.in_(bindparam("wanted", expanding=True))
)


def enter(conn: Connection, entering: Sequence[tuple[Thread, Contact, str]], at: datetime) -> list[Place]:
    """Give each (thread, contact, customer id) the next seq of its conversation, in this order. Takes the
    conversations' locks until the transaction ends."""
    rows: dict[str, dict[str, Any]] = {}
    for thread, contact, customer_id in entering:
        row = rows.setdefault(
            thread.conversation_id,
            {
                "id": thread.conversation_id,
                "channel": contact.channel,
                "account": contact.account,
                "customer_id": customer_id,
                "subject": contact.subject,
                "last_seq": 0,
                "last_at": at,
                "linked_to": thread.linked_to,
            },
        )
        row["last_seq"] += 1
    # Always in the same order: two transactions may want the same conversations.
    entered = conn.execute(_enter(conn.dialect.name), rows_of([rows[id_] for id_ in sorted(rows)]))
    found = {row.id: row for row in entered}
    next_seq = {id_: row.last_seq - rows[id_]["last_seq"] + 1 for id_, row in found.items()}
    places: list[Place] = []
    for thread, _, _ in entering:
        id_ = thread.conversation_id
        places.append(Place(id_, FIRST_NUMBER + found[id_].number, next_seq[id_]))
        next_seq[id_] += 1
    theirs = [(t.conversation_id, c) for t, c, _ in entering if not t.is_note]
    _insert_pairs(conn, participants, "address", [(id_, c.sender.address) for id_, c in theirs])
    mentioned = [(id_, address) for id_, c in theirs for address in _in_copy(c)]
    _insert_pairs(conn, participants, "address", mentioned, role=MENTIONED)
    # Not the references: whoever names another's Message-ID must not thereby own it.
    mails = [(t.conversation_id, key) for t, c, _ in entering for key in keys(c)]
    _insert_pairs(conn, thread_index, "message_id", mails)
    return places


@cache
def _enter(dialect: str) -> Any:
    made = dialect_insert(dialect, conversations)
    more = conversations.c.last_seq + made.excluded.last_seq
    return made.on_conflict_do_update(
        index_elements=["id"], set_={"last_seq": more, "last_at": made.excluded.last_at}
    ).returning(conversations.c.id, conversations.c.number, conversations.c.last_seq)


def mentioned_in(conn: Connection, conversation_id: str) -> set[str]:
    """Who was only in copy: nothing is sent to them until an agent adds them."""
    rows = conn.execute(_ROLES, {"wanted": [conversation_id]})
    return {row.address for row in rows if row.role == MENTIONED}


def join(conn: Connection, conversation_id: str, addresses: Iterable[str]) -> None:
    """An agent has added these: their answers belong to the conversation, too."""
    for address in sorted(set(addresses)):
        made = insert(conn, participants).values(conversation_id=conversation_id, address=address, role=PARTICIPANT)
        conn.execute(
            made.on_conflict_do_update(index_elements=["conversation_id", "address"], set_={"role": PARTICIPANT})
        )


def index_messages(conn: Connection, conversation_id: str, message_ids: Iterable[str]) -> None:
    """Remember that these Message-IDs (without brackets) belong to the conversation."""
    index_all(conn, [(conversation_id, each) for each in message_ids])


def index_all(conn: Connection, pairs: Iterable[tuple[str, str]]) -> None:
    """As `index_messages`, for (conversation, Message-ID) of many."""
    _insert_pairs(conn, thread_index, "message_id", pairs)


def _insert_pairs(conn: Connection, table: Table, column: str, pairs: Iterable[tuple[str, str]], **more: str) -> None:
    rows = [{"conversation_id": id_, column: value, **more} for id_, value in sorted(set(pairs)) if value]
    insert_many_new(conn, table, rows)


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
_ALIASES = select(conversation_aliases.c.id, conversation_aliases.c.merged_into).where(
    conversation_aliases.c.id.in_(bindparam("wanted", expanding=True))
)


def _canonical(conn: Connection, conversation_ids: Collection[str]) -> dict[str, str]:
    """Each id → where merges have led it. Bounded, though a merge always points at a canonical id."""
    found = {id_: id_ for id_ in conversation_ids}
    for _ in range(8):
        merged = {row.id: row.merged_into for row in conn.execute(_ALIASES, {"wanted": sorted(set(found.values()))})}
        if not merged:
            break
        found = {id_: merged.get(target, target) for id_, target in found.items()}
    return found


def keys(contact: Contact) -> Sequence[str]:
    """What others may know a mail by: its Message-ID, without brackets, and what its parser found besides."""
    content = contact.content
    if not isinstance(content, EmailContent):
        return ()
    return list(dict.fromkeys(key for key in (content.message_id, *content.keys) if key))


def references(contact: Contact) -> Sequence[str]:
    """The keys of the mails that a mail refers to, the latest first."""
    content = contact.content
    if not isinstance(content, EmailContent):
        return ()
    ordered = [*content.refers_to, *content.in_reply_to, *reversed(content.references)]
    return list(dict.fromkeys(ref for ref in ordered if ref))


def _token_of(contact: Contact) -> Sequence[str]:
    token = contact.content.token_of if isinstance(contact.content, EmailContent) else None
    return () if token is None else (token,)


def _in_copy(contact: Contact) -> Sequence[str]:
    """Nothing is sent to them until an agent adds them; their own answer is for the agent's eyes."""
    return contact.content.cc[:MENTIONS] if isinstance(contact.content, EmailContent) else ()


def _root(contact: Contact, collided: str | None) -> str:
    content = contact.content
    if isinstance(content, EmailContent):
        refs = content.references or content.in_reply_to
        # Its key, not its id: Jira writes another tail into the id of each mail of an issue.
        return refs[0] if refs else next(iter(content.keys), content.message_id or contact.native_id)
    if isinstance(content, ChatContent):
        return content.session_id
    return collided or contact.native_id


def _owner(contact: Contact) -> str:
    # A form or a call is a conversation of its own, a chat's is its session: no address needed to tell them apart.
    if not isinstance(contact.content, EmailContent):
        return contact.channel
    # Whoever is not who they say must not compute the id of another's conversation.
    return f"forged:{contact.sender.address}" if contact.sender.verdict == "failed" else contact.sender.address
