"""The ledger: in which state every accepted interaction is. Only this module writes states.

A move is conditional on the state it leaves, so that doing it again, or too late, changes nothing.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, func, select, update
from sqlalchemy.engine import Connection

from schemas.interaction import Interaction
from schemas.states import INTERACTION_MOVES, InteractionState
from store import history
from store.history import Entry
from store.sql import Written, write_rows
from store.tables import acceptances, interactions, refusals


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an interaction stands."""

    id: str
    conversation_id: str
    seq: int | None
    state: InteractionState
    reason: str
    round: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """Where an interaction goes, from where it may, and who says so. `detail` is for its history."""

    to: InteractionState
    frm: tuple[InteractionState, ...]
    actor: str
    reason: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ChannelBalance:
    """One line of the ledger. Balanced: what was accepted is what the states add up to."""

    channel: str
    accepted: int
    states: Mapping[str, int]
    copies: int = 0
    refused: int = 0

    @property
    def balanced(self) -> bool:
        return self.accepted == sum(self.states.values())


@dataclass(frozen=True, slots=True)
class Balance:
    channels: Sequence[ChannelBalance] = field(default_factory=list)

    @property
    def balanced(self) -> bool:
        return all(line.balanced for line in self.channels)

    @property
    def total(self) -> ChannelBalance:
        states: dict[str, int] = {}
        for line in self.channels:
            for state, count in line.states.items():
                states[state] = states.get(state, 0) + count
        return ChannelBalance(
            "all",
            sum(line.accepted for line in self.channels),
            states,
            sum(line.copies for line in self.channels),
            sum(line.refused for line in self.channels),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEntry:
    """A newly accepted interaction, in its first state."""

    interaction_id: str
    conversation_id: str
    seq: int | None
    channel: str
    account: str
    customer_id: str | None
    received_at: datetime
    state: InteractionState
    reason: str = ""
    body: Written | None
    actor: str


def open_entries(conn: Connection, entries: Sequence[NewEntry], at: datetime) -> None:
    """Enter what was newly accepted."""
    if not entries:
        return
    rows = [
        {
            "id": e.interaction_id,
            "conversation_id": e.conversation_id,
            "seq": e.seq,
            "channel": e.channel,
            "account": e.account,
            "customer_id": e.customer_id,
            "received_at": e.received_at,
            "accepted_at": at,
            "state": e.state.value,
            "reason": e.reason,
            "changed_at": at,
            "body": e.body,
        }
        for e in entries
    ]
    write_rows(conn, _INSERT, rows)
    history.record(
        conn,
        [
            Entry(
                event=e.state.value,
                actor=e.actor,
                interaction_id=e.interaction_id,
                conversation_id=e.conversation_id,
                at=at,
                detail={"reason": e.reason} if e.reason else None,
            )
            for e in entries
        ],
    )


_INSERT = interactions.insert()


def move(
    conn: Connection,
    interaction_ids: Collection[str],
    to: InteractionState,
    *,
    frm: Collection[InteractionState],
    actor: str,
    at: datetime,
    reason: str = "",
    detail: Mapping[str, Any] | None = None,
) -> list[Standing]:
    """Move those of `interaction_ids` that are in one of `frm`. Returns them as they now stand; the others stay."""
    for state in frm:
        if to not in INTERACTION_MOVES[state]:
            raise ValueError(f"no interaction moves from {state} to {to}")
    move_ = Move(to=to, frm=tuple(frm), actor=actor, reason=reason, detail=detail or {})
    return move_all(conn, dict.fromkeys(interaction_ids, move_), at)


def move_all(conn: Connection, moves: Mapping[str, Move], at: datetime) -> list[Standing]:
    """Each interaction's move, if it is in one of the states that the move starts from. Those that moved, as they now
    stand."""
    alike: dict[tuple[InteractionState, tuple[InteractionState, ...], str], list[str]] = {}
    for interaction_id, m in moves.items():
        alike.setdefault((m.to, m.frm, m.reason), []).append(interaction_id)
    moved: list[Standing] = []
    for (to, frm, reason), wanted in alike.items():
        values = {"to": to.value, "why": reason, "at": at, "wanted": wanted, "frm": [s.value for s in frm]}
        moved += [Standing(r.id, r.conversation_id, r.seq, to, reason, r.round) for r in conn.execute(_MOVE, values)]
    history.record(
        conn,
        [
            Entry(
                event=m.state.value,
                actor=moves[m.id].actor,
                interaction_id=m.id,
                conversation_id=m.conversation_id,
                at=at,
                detail={**({"reason": m.reason} if m.reason else {}), **moves[m.id].detail} or None,
            )
            for m in moved
        ],
    )
    return moved


_MOVE = (
    update(interactions)
    .where(
        interactions.c.id.in_(bindparam("wanted", expanding=True)),
        interactions.c.state.in_(bindparam("frm", expanding=True)),
    )
    .values(state=bindparam("to"), reason=bindparam("why"), changed_at=bindparam("at"))
    .returning(interactions.c.id, interactions.c.conversation_id, interactions.c.seq, interactions.c.round)
)


def reissue(conn: Connection, interaction: Interaction, *, frm: InteractionState, actor: str, at: datetime) -> bool:
    """Back to `received` for another decision; `interaction.round` is the new, higher round. False if it moved on."""
    moved = move(conn, [interaction.id], InteractionState.RECEIVED, frm=[frm], actor=actor, at=at)
    if moved:
        conn.execute(
            update(interactions)
            .where(interactions.c.id == interaction.id)
            .values(round=interaction.round, body=interaction.model_dump(mode="json"))
        )
    return bool(moved)


def standings(conn: Connection, interaction_ids: Collection[str]) -> dict[str, Standing]:
    rows = conn.execute(
        select(
            interactions.c.id,
            interactions.c.conversation_id,
            interactions.c.seq,
            interactions.c.state,
            interactions.c.reason,
            interactions.c.round,
        ).where(interactions.c.id.in_(list(interaction_ids)))
    )
    return {r.id: Standing(r.id, r.conversation_id, r.seq, InteractionState(r.state), r.reason, r.round) for r in rows}


def load(conn: Connection, interaction_ids: Collection[str]) -> dict[str, Interaction]:
    """The interactions as accepted. Those of acked bytes that gave none are left out."""
    rows = conn.execute(
        select(interactions.c.id, interactions.c.body).where(
            interactions.c.id.in_(list(interaction_ids)), interactions.c.body.is_not(None)
        )
    )
    return {r.id: Interaction.model_validate(r.body) for r in rows}


def find(conn: Connection, interaction_id: str) -> tuple[Standing, Interaction | None] | None:
    """Where it stands, and as it was accepted."""
    return find_all(conn, [interaction_id]).get(interaction_id)


def find_all(conn: Connection, interaction_ids: Collection[str]) -> dict[str, tuple[Standing, Interaction | None]]:
    """As `find`, by id; those that nobody knows are left out."""
    return {
        r.id: (
            Standing(r.id, r.conversation_id, r.seq, InteractionState(r.state), r.reason, r.round),
            None if r.body is None else Interaction.model_validate(r.body),
        )
        for r in conn.execute(_BY_ID, {"wanted": list(interaction_ids)})
    }


_BY_ID = select(interactions).where(interactions.c.id.in_(bindparam("wanted", expanding=True)))


def of_conversation(conn: Connection, conversation_id: str) -> list[tuple[Standing, Interaction | None]]:
    """All of a conversation, by seq."""
    rows = conn.execute(
        select(interactions).where(interactions.c.conversation_id == conversation_id).order_by(interactions.c.seq)
    )
    return [
        (
            Standing(r.id, r.conversation_id, r.seq, InteractionState(r.state), r.reason, r.round),
            None if r.body is None else Interaction.model_validate(r.body),
        )
        for r in rows
    ]


def highest_open_seq(conn: Connection, conversation_id: str) -> int:
    """The highest accepted seq that is not closed, triaged or not; 0 when there is none."""
    return (
        conn.scalar(
            select(func.max(interactions.c.seq)).where(
                interactions.c.conversation_id == conversation_id,
                interactions.c.state != InteractionState.CLOSED.value,
            )
        )
        or 0
    )


def ids_in_state(conn: Connection, conversation_id: str, state: InteractionState, through: int) -> list[str]:
    """Ids of the conversation's interactions in `state` with seq ≤ `through`, by seq."""
    return list(
        conn.scalars(
            select(interactions.c.id)
            .where(
                interactions.c.conversation_id == conversation_id,
                interactions.c.state == state.value,
                interactions.c.seq <= through,
            )
            .order_by(interactions.c.seq)
        )
    )


def by_state(
    conn: Connection, state: InteractionState | None, limit: int
) -> list[tuple[Standing, datetime, str, Interaction | None]]:
    """(standing, received_at, channel, interaction), the latest first."""
    query = select(interactions).order_by(interactions.c.accepted_at.desc()).limit(limit)
    if state is not None:
        query = query.where(interactions.c.state == state.value)
    return [
        (
            Standing(r.id, r.conversation_id, r.seq, InteractionState(r.state), r.reason, r.round),
            r.received_at,
            r.channel,
            None if r.body is None else Interaction.model_validate(r.body),
        )
        for r in conn.execute(query)
    ]


def held_counts(conn: Connection) -> dict[str, int]:
    """How many wait for a person to release them, by channel."""
    held = interactions.c.state == InteractionState.HELD.value
    query = select(interactions.c.channel, func.count()).where(held).group_by(interactions.c.channel)
    return {channel: count for channel, count in conn.execute(query)}


def balance(conn: Connection) -> Balance:
    """The sum of the states beside what was accepted, by channel: two counts of two different tables."""
    accepted: dict[str, tuple[int, int]] = {
        channel: (count, copies or 0)
        for channel, count, copies in conn.execute(
            select(acceptances.c.channel, func.count(), func.sum(acceptances.c.copies)).group_by(acceptances.c.channel)
        )
    }
    states: dict[str, dict[str, int]] = {}
    for channel, state, count in conn.execute(
        select(interactions.c.channel, interactions.c.state, func.count()).group_by(
            interactions.c.channel, interactions.c.state
        )
    ):
        states.setdefault(channel, {})[state] = count
    refused = {
        channel: int(count)
        for channel, count in conn.execute(
            select(refusals.c.channel, func.sum(refusals.c.count)).group_by(refusals.c.channel)
        )
    }
    return Balance(
        [
            ChannelBalance(
                channel,
                accepted.get(channel, (0, 0))[0],
                states.get(channel, {}),
                accepted.get(channel, (0, 0))[1],
                refused.get(channel, 0),
            )
            for channel in sorted({*accepted, *states, *refused})
        ]
    )
