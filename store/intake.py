"""accept(): after it a source may be told "yes, we have it". Needs no Kafka."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.engine import Connection

from schemas import ids
from schemas.dead_letter import DeadLetter, Place
from schemas.interaction import Channel
from schemas.limits import INLINE_BYTES
from schemas.states import InteractionState
from store import dead_letters, ledger, refusals
from store.accepting import ACTOR, Acceptance, Arrival, Candidate, accept_all
from store.blobs import Blobs
from store.database import Database
from store.outbox import Outbox
from store.sql import insert_new
from store.tables import acceptances, payloads
from store.together import Together

__all__ = ["Acceptance", "Arrival", "Intake", "payload"]

AT_ONCE = 64
"""Arrivals in one transaction, at most."""


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
        reopen_within: timedelta | None = None,
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._outbox = outbox
        self._reference = reference
        self._inline = inline_max_bytes
        self._reopen_within = reopen_within
        self._together: Together[tuple[Arrival, str | None, datetime], Acceptance] = Together(
            "intake.accept", self._accept, most=AT_ONCE
        )

    async def accept(self, arrival: Arrival, now: datetime) -> Acceptance:
        """When this returns, the contact is on disk and will be decided on. Raises StoreUnavailable: acknowledge
        nothing then, and let the source try again."""
        dataref = await self._blobs.put(arrival.raw) if len(arrival.raw) > self._inline else None
        return await self._together.add((arrival, dataref, now))

    async def _accept(self, waiting: Sequence[tuple[Arrival, str | None, datetime]]) -> Sequence[Acceptance]:
        now = max(at for _, _, at in waiting)

        def work(conn: Connection) -> list[Acceptance]:
            candidates = [Candidate(arrival, dataref) for arrival, dataref, _ in waiting]
            return accept_all(
                conn,
                self._outbox,
                candidates,
                now,
                reference=self._reference,
                reopen_within=self._reopen_within,
            )

        return await self._database.write(work)

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
    entry = ledger.NewEntry(
        interaction_id=letter.id,
        conversation_id=letter.conversation_id,
        seq=None,
        channel=channel,
        account=account,
        customer_id=None,
        received_at=now,
        state=InteractionState.DEAD_LETTER,
        reason=letter.reason,
        body=None,
        actor=f"{ACTOR}:{channel}:{account}",
    )
    ledger.open_entries(conn, [entry], now)
    dead_letters.add(conn, letter)


def payload(conn: Connection, interaction_id: str) -> tuple[str, bytes | None, str | None] | None:
    """(media type, bytes or None, dataref or None) of what arrived."""
    row = conn.execute(select(payloads).where(payloads.c.interaction_id == interaction_id)).one_or_none()
    return None if row is None else (row.media_type, row.raw, row.dataref)
