"""accept(): the one transaction after which a source may be told "yes, we have it".

Dedupe row, place in the conversation, raw payload, state, outbox row: all of it or none. Needs no Kafka.
"""

import hashlib
import uuid
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.engine import Connection

from schemas import ids
from schemas.dead_letter import DeadLetter, Place
from schemas.digest import contact_digest
from schemas.interaction import Channel, Contact, Interaction, Occasion, RawPayload
from schemas.limits import INLINE_BYTES
from schemas.states import InteractionState
from store import conversations, customers, dead_letters, ledger, policies, refusals
from store.blobs import Blobs
from store.database import Database
from store.outbox import Outbox
from store.sql import Written, insert_new, insert_row
from store.tables import acceptances, interactions, payloads

ACTOR = "intake"


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


class Intake:
    """The port that every edge uses."""

    def __init__(
        self,
        database: Database,
        blobs: Blobs,
        outbox: Outbox,
        *,
        reference: str = "SB-{number}",
        inline_max_bytes: int = INLINE_BYTES,
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._outbox = outbox
        self._reference = reference
        self._inline = inline_max_bytes

    async def accept(self, arrival: Arrival, now: datetime) -> Acceptance:
        """When this returns, the contact is on disk and will be decided on. Raises StoreUnavailable: acknowledge
        nothing then, and let the source try again."""
        dataref = await self._blobs.put(arrival.raw) if len(arrival.raw) > self._inline else None
        return await self._database.write(lambda conn: self._accept(conn, arrival, dataref, now))

    async def set_aside(
        self,
        channel: Channel,
        account: str,
        raw: bytes,
        now: datetime,
        *,
        detail: str,
        media_type: str = "application/octet-stream",
    ) -> str:
        """For bytes that were acknowledged but gave no contact: counted as accepted, kept as a dead letter."""
        dataref = await self._blobs.put(raw) if len(raw) > self._inline else None
        letter_id = ids.raw_id(channel, account, raw)
        letter = DeadLetter.model_construct(
            id=letter_id,
            conversation_id=letter_id,
            interaction_id=letter_id,
            round=1,
            reason="unparsable",
            detail=detail,
            place=Place(channel=channel, account=account),
            headers=(),
            raw=None if dataref else raw,
            dataref=dataref,
            media_type=media_type,
            at=now,
        )
        await self._database.write(lambda conn: _set_aside(conn, letter, channel, account, now))
        return letter_id

    async def refused(self, channel: Channel, account: str, reason: str) -> None:
        """Count what was refused to its sender."""
        await self._database.write(lambda conn: refusals.count(conn, channel, account, reason))

    def _accept(self, conn: Connection, arrival: Arrival, dataref: str | None, now: datetime) -> Acceptance:
        contact = arrival.contact
        digest = contact_digest(contact)
        key = ids.dedupe_key(contact.channel, contact.account, contact.native_id, digest)
        flags = contact.flags
        interaction_id = ids.interaction_id(contact.channel, contact.account, contact.native_id)
        if not _is_first(conn, key, interaction_id, contact, now):
            copy = self._copy(conn, key, contact)
            if copy is not None:
                return copy
            # Other content came under the same native id before.
            interaction_id = ids.colliding_interaction_id(contact.channel, contact.account, contact.native_id, digest)
            flags = (*flags, "id_collision")
            if not _is_first(conn, key, interaction_id, contact, now):
                copy = self._copy(conn, key, contact)  # a racing edge was first: its row is visible now
                if copy is None:
                    raise RuntimeError(f"acceptance of {interaction_id} is neither new nor a copy")
                return copy
        customer_id = customers.ensure(conn, contact, now)
        thread = conversations.resolve(conn, contact, interaction_id if "id_collision" in flags else None)
        place = conversations.enter(conn, thread, contact, customer_id, now)
        raw = RawPayload(
            media_type=arrival.media_type,
            size=len(arrival.raw),
            sha256=hashlib.sha256(arrival.raw).hexdigest(),
            dataref=dataref,
        )
        interaction = Interaction.model_construct(
            **{name: getattr(contact, name) for name in Contact.model_fields if name != "flags"},
            flags=flags,
            id=interaction_id,
            conversation_id=place.conversation_id,
            reference=self._reference.format(number=place.number),
            seq=place.seq,
            round=1,
            occasion=_occasion(conn, place),
            accepted_at=now,
            customer_id=customer_id,
            policy_version=policies.active_version(conn),
            digest=digest,
            raw=raw,
            released_from=None,
            traceparent=_traceparent(interaction_id),
        )
        state, reason = InteractionState.RECEIVED, ""
        if contact.archived:
            state, reason = InteractionState.CLOSED, "archived"
        elif arrival.hold:
            state, reason = InteractionState.HELD, arrival.hold
        ledger.open_entry(
            conn,
            interaction_id=interaction_id,
            conversation_id=place.conversation_id,
            seq=place.seq,
            channel=contact.channel,
            account=contact.account,
            customer_id=customer_id,
            received_at=contact.received_at,
            at=now,
            state=state,
            reason=reason,
            body=Written(interaction.model_dump_json().encode()),
            actor=f"{ACTOR}:{contact.channel}:{contact.account}",
        )
        insert_row(
            conn,
            payloads,
            interaction_id=interaction_id,
            media_type=raw.media_type,
            size=raw.size,
            sha256=raw.sha256,
            raw=None if dataref else arrival.raw,
            dataref=dataref,
        )
        if state is InteractionState.RECEIVED:
            self._outbox.put(conn, interaction, new=True)
        return Acceptance(
            interaction_id=interaction_id,
            conversation_id=place.conversation_id,
            reference=interaction.reference,
            seq=place.seq,
        )

    def _copy(self, conn: Connection, key: str, contact: Contact) -> Acceptance | None:
        row = conn.execute(
            select(acceptances.c.interaction_id, acceptances.c.paths, interactions.c.body)
            .join(interactions, interactions.c.id == acceptances.c.interaction_id)
            .where(acceptances.c.dedupe_key == key)
        ).one_or_none()
        if row is None:
            return None
        conn.execute(
            update(acceptances)
            .where(acceptances.c.dedupe_key == key)
            .values(copies=acceptances.c.copies + 1, paths=sorted({*(row.paths or ()), contact.account}))
        )
        return Acceptance(
            interaction_id=row.interaction_id,
            conversation_id=row.body["conversation_id"],
            reference=row.body["reference"],
            seq=row.body["seq"],
            copy=True,
        )


def _is_first(conn: Connection, key: str, interaction_id: str, contact: Contact, now: datetime) -> bool:
    """True if neither this content nor this id was accepted before; both are taken then."""
    return insert_new(
        conn,
        acceptances,
        dedupe_key=key,
        interaction_id=interaction_id,
        channel=contact.channel,
        accepted_at=now,
        paths=[contact.account],
    )


def _set_aside(conn: Connection, letter: DeadLetter, channel: Channel, account: str, now: datetime) -> None:
    inserted = insert_new(
        conn,
        acceptances,
        dedupe_key=letter.id,
        interaction_id=letter.id,
        channel=channel,
        accepted_at=now,
        paths=[account],
    )
    if not inserted:
        conn.execute(
            update(acceptances).where(acceptances.c.dedupe_key == letter.id).values(copies=acceptances.c.copies + 1)
        )
        return
    ledger.open_entry(
        conn,
        interaction_id=letter.id,
        conversation_id=letter.conversation_id,
        seq=None,
        channel=channel,
        account=account,
        customer_id=None,
        received_at=now,
        at=now,
        state=InteractionState.DEAD_LETTER,
        reason=letter.reason,
        body=None,
        actor=f"{ACTOR}:{channel}:{account}",
    )
    dead_letters.add(conn, letter)


def _occasion(conn: Connection, place: conversations.Place) -> Occasion:
    if place.seq == 1:
        return "first"
    settled = {InteractionState.ANSWERED.value, InteractionState.CLOSED.value}
    unsettled = conn.scalar(
        select(interactions.c.id)
        .where(interactions.c.conversation_id == place.conversation_id, interactions.c.state.not_in(settled))
        .limit(1)
    )
    return "reopened" if unsettled is None else "follow_up"


def _traceparent(interaction_id: str) -> str:
    """W3C trace context: the trace of an interaction is its id."""
    trace = uuid.UUID(interaction_id).hex
    return f"00-{trace}-{trace[:16]}-01"


def payload(conn: Connection, interaction_id: str) -> tuple[str, bytes | None, str | None] | None:
    """(media type, bytes or None, dataref or None) of what arrived."""
    row = conn.execute(select(payloads).where(payloads.c.interaction_id == interaction_id)).one_or_none()
    return None if row is None else (row.media_type, row.raw, row.dataref)
