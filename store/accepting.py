"""accept() as one transaction over many arrivals: for each its dedupe row, its place in the conversation, raw payload,
state and outbox row, all of it or none."""

import hashlib
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import bindparam, select, update
from sqlalchemy.engine import Connection

from schemas import ids
from schemas.digest import contact_digest
from schemas.interaction import Contact, Interaction, Occasion, RawPayload
from schemas.states import InteractionState
from store import agents, conversations, customers, ledger, policies
from store.conversations import Asked, Place
from store.outbox import Outbox
from store.sql import Written, dialect_insert, rows_of, write_rows
from store.tables import acceptances, interactions, payloads

ACTOR = "intake"
NOTE = "internal_note"
"""The flag of a mail that one of our agents wrote to a conversation: kept and shown, never decided on or answered."""
RECEIPT = "receipt"
"""The flag of a receipt for a mail of the conversation: kept and shown, it needs no decision."""
_SETTLED = [InteractionState.ANSWERED.value, InteractionState.CLOSED.value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A contact with the bytes that it came in."""

    contact: Contact
    raw: bytes = field(repr=False)
    media_type: str
    hold: str = ""
    """Why it is held from the first moment, for a person to release; "" for what is decided on at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """What the edge may tell the customer. `copy`: the same contact had been accepted before."""

    interaction_id: str
    conversation_id: str
    reference: str
    seq: int
    copy: bool = False


@dataclass(slots=True)
class Candidate:
    """An arrival on its way in. `dataref`: where its raw bytes are, if not in the row."""

    arrival: Arrival
    dataref: str | None
    digest: str = ""
    key: str = ""
    id: str = ""
    collided: bool = False
    note_by: str = ""
    """The agent who wrote it to a conversation, as an internal note."""
    is_receipt: bool = False
    """For a mail of the conversation that it has joined."""
    result: Acceptance | None = None

    def __post_init__(self) -> None:
        contact = self.arrival.contact
        self.digest = contact_digest(contact)
        self.key = ids.dedupe_key(contact.channel, contact.account, contact.native_id, self.digest)
        self.id = ids.interaction_id(contact.channel, contact.account, contact.native_id)

    @property
    def flags(self) -> tuple[str, ...]:
        more = (("id_collision",) if self.collided else ()) + ((NOTE,) if self.note_by else ())
        more += (RECEIPT,) if self.is_receipt else ()
        return (*self.arrival.contact.flags, *more)


def accept_all(
    conn: Connection,
    out: Outbox,
    candidates: Sequence[Candidate],
    now: datetime,
    *,
    reference: str,
    reopen_within: timedelta | None = None,
) -> list[Acceptance]:
    """Accept them in this order. `reference` is the pattern of the conversations' references. What comes later than
    `reopen_within` after the last of a settled conversation begins a new one."""
    for wave in _waves(candidates):
        _accept(conn, out, wave, now, reference, None if reopen_within is None else now - reopen_within)
    return [candidate.result for candidate in candidates if candidate.result is not None]


def _waves(candidates: Sequence[Candidate]) -> Iterator[list[Candidate]]:
    """Cut so that nobody needs to see what another of the same wave has left: an answer goes after the mail that it
    answers, other content after what came under its native id before."""
    wave: list[Candidate] = []
    taken: set[str] = set()
    for candidate in candidates:
        contact = candidate.arrival.contact
        if taken.intersection((candidate.key, candidate.id, *conversations.references(contact))):
            yield wave
            wave, taken = [], set()
        wave.append(candidate)
        taken.update((candidate.key, candidate.id, *conversations.keys(contact)))
    if wave:
        yield wave


def _accept(
    conn: Connection,
    out: Outbox,
    wave: Sequence[Candidate],
    now: datetime,
    reference: str,
    settled_before: datetime | None,
) -> None:
    first = _claim(conn, wave, now)
    for candidate in wave:
        if candidate.key not in first and not _is_new_after_all(conn, candidate, now):
            candidate.result = _copy(conn, candidate)
            if candidate.result is None:
                raise RuntimeError(f"acceptance of {candidate.id} is neither new nor a copy")
    new = [candidate for candidate in wave if candidate.result is None]
    if not new:
        return
    contacts = [candidate.arrival.contact for candidate in new]
    owners = customers.ensure(conn, contacts, now)
    writers = agents.by_address(conn, _may_be_agents(contacts))
    asked = [
        Asked(c.arrival.contact, c.id if c.collided else None, is_note=c.arrival.contact.sender.address in writers)
        for c in new
    ]
    threads = conversations.resolve(conn, asked, settled_before)
    for candidate, thread in zip(new, threads, strict=True):
        candidate.note_by = writers.get(candidate.arrival.contact.sender.address, "") if thread.is_note else ""
    places = conversations.enter(conn, list(zip(threads, contacts, owners, strict=True)), now)
    for candidate, place in zip(new, places, strict=True):
        candidate.is_receipt = place.seq > 1 and conversations.is_receipt(candidate.arrival.contact)
    notes = {n for n, candidate in enumerate(new) if candidate.note_by or candidate.is_receipt}
    occasions = _occasions(conn, places, notes=notes)
    version = policies.active_version(conn)
    made = [
        _interaction(candidate, place, customer_id, occasion, version, now, reference)
        for candidate, place, customer_id, occasion in zip(new, places, owners, occasions, strict=True)
    ]
    entries = [_entry(candidate, interaction) for candidate, interaction in zip(new, made, strict=True)]
    ledger.open_entries(conn, entries, now)
    write_rows(conn, _PAYLOAD, [_payload(c, interaction) for c, interaction in zip(new, made, strict=True)])
    waiting = [i for i, entry in zip(made, entries, strict=True) if entry.state is InteractionState.RECEIVED]
    out.put_many(conn, waiting, new=True)
    for candidate, interaction in zip(new, made, strict=True):
        candidate.result = Acceptance(
            interaction_id=interaction.id,
            conversation_id=interaction.conversation_id,
            reference=interaction.reference,
            seq=interaction.seq,
        )


_PAYLOAD = payloads.insert()


def _may_be_agents(contacts: Sequence[Contact]) -> list[str]:
    """Whoever is not verified is nobody's colleague; a machine writes no notes."""
    return [
        contact.sender.address
        for contact in contacts
        if contact.channel == "email" and contact.sender.verdict == "verified" and not contact.automatic
    ]


def _claim(conn: Connection, wave: Sequence[Candidate], now: datetime) -> Collection[str]:
    """Take the dedupe keys and ids of what was never accepted before; gives those keys."""
    rows: list[dict[str, Any]] = [
        {
            "dedupe_key": candidate.key,
            "interaction_id": candidate.id,
            "channel": candidate.arrival.contact.channel,
            "accepted_at": now,
            "paths": [candidate.arrival.contact.account],
        }
        for candidate in wave
    ]
    # Always in the same order: two transactions may want the same keys.
    rows.sort(key=lambda row: row["dedupe_key"])
    return set(conn.scalars(_new_acceptances(conn.dialect.name), rows_of(rows)))


@cache
def _new_acceptances(dialect: str) -> Any:
    return dialect_insert(dialect, acceptances).on_conflict_do_nothing().returning(acceptances.c.dedupe_key)


def _is_new_after_all(conn: Connection, candidate: Candidate, now: datetime) -> bool:
    """True for other content than what came under the same native id before: it gets an id of its own."""
    if conn.scalar(_KNOWN_KEY, {"key": candidate.key}) is not None:
        return False
    contact = candidate.arrival.contact
    candidate.id = ids.colliding_interaction_id(contact.channel, contact.account, contact.native_id, candidate.digest)
    candidate.collided = bool(_claim(conn, [candidate], now))
    return candidate.collided  # else a racing edge was first: its row is visible now


_KNOWN_KEY = select(acceptances.c.dedupe_key).where(acceptances.c.dedupe_key == bindparam("key"))


def _copy(conn: Connection, candidate: Candidate) -> Acceptance | None:
    row = conn.execute(
        select(acceptances.c.interaction_id, acceptances.c.paths, interactions.c.body)
        .join(interactions, interactions.c.id == acceptances.c.interaction_id)
        .where(acceptances.c.dedupe_key == candidate.key)
    ).one_or_none()
    if row is None:
        return None
    conn.execute(
        update(acceptances)
        .where(acceptances.c.dedupe_key == candidate.key)
        .values(copies=acceptances.c.copies + 1, paths=sorted({*(row.paths or ()), candidate.arrival.contact.account}))
    )
    return Acceptance(
        interaction_id=row.interaction_id,
        conversation_id=row.body["conversation_id"],
        reference=row.body["reference"],
        seq=row.body["seq"],
        copy=True,
    )


def _occasions(conn: Connection, places: Sequence[Place], *, notes: Collection[int]) -> list[Occasion]:
    """Whether each is the first of its conversation, follows one that is not settled, or reopens it. `notes`: the
    numbers of those that settle nothing and open nothing."""
    later = sorted({place.conversation_id for place in places if place.seq > 1})
    unsettled = set(conn.scalars(_UNSETTLED, {"wanted": later})) if later else set()
    occasions: list[Occasion] = []
    for number, place in enumerate(places):
        if place.seq == 1:
            occasions.append("first")
        else:
            occasions.append("follow_up" if place.conversation_id in unsettled else "reopened")
        if number not in notes:
            unsettled.add(place.conversation_id)  # it is now, by this very one
    return occasions


_UNSETTLED = (
    select(interactions.c.conversation_id)
    .where(
        interactions.c.conversation_id.in_(bindparam("wanted", expanding=True)), interactions.c.state.not_in(_SETTLED)
    )
    .distinct()
)


def _interaction(
    candidate: Candidate,
    place: Place,
    customer_id: str,
    occasion: Occasion,
    policy_version: str,
    now: datetime,
    reference: str,
) -> Interaction:
    arrival = candidate.arrival
    known: Mapping[str, Any] = {name: getattr(arrival.contact, name) for name in Contact.model_fields}
    return Interaction.model_construct(
        **{**known, "flags": candidate.flags},
        id=candidate.id,
        conversation_id=place.conversation_id,
        reference=reference.format(number=place.number),
        seq=place.seq,
        round=1,
        occasion=occasion,
        accepted_at=now,
        customer_id=customer_id,
        policy_version=policy_version,
        digest=candidate.digest,
        raw=RawPayload(
            media_type=arrival.media_type,
            size=len(arrival.raw),
            sha256=hashlib.sha256(arrival.raw).hexdigest(),
            dataref=candidate.dataref,
        ),
        released=(),
        released_from=None,
        traceparent=_traceparent(candidate.id),
    )


def _entry(candidate: Candidate, interaction: Interaction) -> ledger.NewEntry:
    state, reason, actor = InteractionState.RECEIVED, "", f"{ACTOR}:{interaction.channel}:{interaction.account}"
    if interaction.archived:
        state, reason = InteractionState.CLOSED, "archived"
    elif candidate.note_by:
        state, reason, actor = InteractionState.CLOSED, NOTE, f"agent:{candidate.note_by}"
    elif candidate.is_receipt:
        state, reason = InteractionState.CLOSED, RECEIPT
    elif candidate.arrival.hold:
        state, reason = InteractionState.HELD, candidate.arrival.hold
    return ledger.NewEntry(
        interaction_id=interaction.id,
        conversation_id=interaction.conversation_id,
        seq=interaction.seq,
        channel=interaction.channel,
        account=interaction.account,
        customer_id=interaction.customer_id,
        received_at=interaction.received_at,
        state=state,
        reason=reason,
        body=Written(interaction.model_dump_json().encode()),
        actor=actor,
    )


def _payload(candidate: Candidate, interaction: Interaction) -> dict[str, Any]:
    raw = interaction.raw
    assert raw is not None
    return {
        "interaction_id": interaction.id,
        "media_type": raw.media_type,
        "size": raw.size,
        "sha256": raw.sha256,
        "raw": None if candidate.dataref else candidate.arrival.raw,
        "dataref": candidate.dataref,
    }


def _traceparent(interaction_id: str) -> str:
    """W3C trace context: the trace of an interaction is its id."""
    trace = uuid.UUID(interaction_id).hex
    return f"00-{trace}-{trace[:16]}-01"
