"""The delivery ledger: what became of each reply, for each recipient.

pending → attempting → sent | deferred | failed | unknown. `store/attempts.py` has the moves, `store/by_hand.py` what
people do about them.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import (
    ColumnElement,
    LargeBinary,
    and_,
    bindparam,
    exists,
    func,
    literal,
    select,
    type_coerce,
    update,
)
from sqlalchemy.engine import Connection

from schemas.addresses import compared
from schemas.delivery import Delivery
from schemas.interaction import CHANNELS
from schemas.reply import Reply
from schemas.states import DeliveryState
from store import leases as leases_
from store.attempts import SENDER, WAITING, Begin, End, begin_all, finish_all
from store.outbox import Outbox, done
from store.sql import insert_many_new, news
from store.tables import deliveries, leases, replies

OPEN = (DeliveryState.PENDING, DeliveryState.ATTEMPTING, DeliveryState.DEFERRED, DeliveryState.UNKNOWN)
"""Something is still to become of them; an unknown outcome waits for a person."""


@dataclass(frozen=True, slots=True)
class Due:
    """A reply to be sent to one recipient. `attempt` counts those made before."""

    reply: Reply
    recipient: str
    state: DeliveryState
    attempt: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Row:
    reply_id: str
    recipient: str
    conversation_id: str
    channel: str
    account: str
    state: DeliveryState
    attempt: int
    detail: str
    provider_id: str
    due_at: datetime
    created_at: datetime
    changed_at: datetime


def copy_in(conn: Connection, batch: Sequence[Reply], now: datetime) -> int:
    """Enter replies from the topic, each for every recipient. Their outbox rows are done then. Returns how many rows
    were new."""
    rows = [
        {
            "reply_id": reply.id,
            "recipient": recipient,
            "conversation_id": reply.conversation_id,
            "channel": reply.channel,
            "account": reply.account,
            "session_id": reply.session_id,
            "state": DeliveryState.PENDING.value,
            "due_at": max(now, reply.not_before or now),
            "created_at": reply.created_at,
            "changed_at": now,
        }
        for reply in batch
        for recipient in recipients(reply)
    ]
    new = insert_many_new(conn, deliveries, rows)
    done(conn, [reply.id for reply in batch])
    if new:
        news(conn, "deliveries")
    return new


def recipients(reply: Reply) -> list[str]:
    """Who gets it, each once: the customer, and whom the agent has added."""
    found: dict[str, str] = {}
    for address in (reply.recipient.address, *reply.cc):
        found.setdefault(compared(address), address)
    return list(found.values())


def due(
    conn: Connection,
    channel: str,
    now: datetime,
    limit: int,
    account: str | None = None,
    besides: Collection[tuple[str, str]] = (),
    not_at: Collection[str] = (),
    automatic: bool | None = None,
) -> list[Due]:
    """What may be sent now (of one account), oldest first, but for `besides` (reply, recipient), which are in
    hand: another recipient of theirs waits until they are done. A reply waits for earlier ones of its conversation and
    recipient. Nothing for the domains `not_at`; `automatic`: what machines made alone, or what people wrote."""
    values = {"channel": channel, "now": now, "limit": limit, "besides": sorted({reply_id for reply_id, _ in besides})}
    query = _DUE if account is None else _DUE_OF_ACCOUNT
    if not_at:
        query = query.where(*(~deliveries.c.recipient.endswith(f"@{each}", autoescape=True) for each in not_at))
    if automatic is not None:
        query = query.where(_automatic(conn) == automatic)
    rows = conn.execute(query, values if account is None else {**values, "account": account})
    return [
        Due(Reply.model_validate(r.body), r.recipient, DeliveryState(r.state), r.attempt, r.created_at) for r in rows
    ]


def _automatic(conn: Connection) -> ColumnElement[bool]:
    """By the bytes that pydantic writes: within a string there would be a backslash before each quote."""
    body, wanted = type_coerce(replies.c.body, LargeBinary), b'"automatic":true'
    if conn.dialect.name == "sqlite":
        return func.instr(body, literal(wanted, LargeBinary)) > 0
    return body.bool_op("LIKE")(literal(b"%" + wanted + b"%", LargeBinary))


# Made once: making a statement costs as much as running it, and this one runs after every commit.
_EARLIER = deliveries.alias()
_DUE = (
    select(
        deliveries.c.recipient,
        deliveries.c.state,
        deliveries.c.attempt,
        deliveries.c.created_at,
        replies.c.body,
    )
    .join(replies, replies.c.id == deliveries.c.reply_id)
    .where(
        deliveries.c.channel == bindparam("channel"),
        deliveries.c.state.in_(WAITING),
        deliveries.c.due_at <= bindparam("now"),
        # Left out before the limit counts: what waits for its turn must not hide what could go.
        deliveries.c.reply_id.not_in(bindparam("besides", expanding=True)),
        ~exists().where(
            and_(
                _EARLIER.c.conversation_id == deliveries.c.conversation_id,
                _EARLIER.c.recipient == deliveries.c.recipient,
                _EARLIER.c.state.in_((*WAITING, DeliveryState.ATTEMPTING.value)),
                _EARLIER.c.created_at < deliveries.c.created_at,
            )
        ),
    )
    .order_by(deliveries.c.due_at, deliveries.c.created_at)
    .limit(bindparam("limit"))
)
_DUE_OF_ACCOUNT = _DUE.where(deliveries.c.account == bindparam("account"))


def for_sessions(conn: Connection, channel: str, session_ids: Collection[str]) -> dict[str, list[Reply]]:
    """Session → what its visitor has not acknowledged yet, oldest first."""
    query = (
        select(deliveries.c.session_id, replies.c.body)
        .join(replies, replies.c.id == deliveries.c.reply_id)
        .where(
            deliveries.c.channel == channel,
            deliveries.c.state == DeliveryState.PENDING.value,
            deliveries.c.session_id.in_(list(session_ids)),
        )
        .order_by(deliveries.c.created_at)
    )
    found: dict[str, list[Reply]] = {}
    for row in conn.execute(query):
        found.setdefault(row.session_id, []).append(Reply.model_validate(row.body))
    return found


def begin(conn: Connection, reply_id: str, recipient: str, *, owner: str, provider_id: str, now: datetime) -> bool:
    """As `begin_all`, for one."""
    return begin_all(conn, [Begin(reply_id, recipient, owner, provider_id)], now) == [True]


def finish(
    conn: Connection,
    out: Outbox,
    reply_id: str,
    recipient: str,
    to: DeliveryState,
    *,
    frm: Collection[DeliveryState],
    now: datetime,
    owner: str | None = None,
    detail: str = "",
    provider_id: str | None = None,
    due_at: datetime | None = None,
) -> bool:
    """As `finish_all`, for one."""
    end = End(reply_id, recipient, to, frm, owner=owner, detail=detail, provider_id=provider_id, due_at=due_at)
    return finish_all(conn, out, [end], now) == [True]


def due_now(
    conn: Connection,
    now: datetime,
    *,
    reply_id: str | None = None,
    account: str | None = None,
    relay_was_away: bool = False,
) -> int:
    """What is deferred need not wait any more: of one reply, of one account, all; `relay_was_away`: only what waits for
    its relay. Returns how many that are."""
    change = update(deliveries).where(deliveries.c.state == DeliveryState.DEFERRED.value).values(due_at=now)
    if reply_id is not None:
        change = change.where(deliveries.c.reply_id == reply_id)
    if account is not None:
        change = change.where(deliveries.c.account == account)
    if relay_was_away:
        change = change.where(deliveries.c.channel == "email", deliveries.c.relay_away)
    news(conn, "deliveries")
    return conn.execute(change).rowcount


def arrive(conn: Connection, owner: str, now: datetime, until: datetime) -> None:
    """A sender says, under a name that nobody has had, that it is there until `until`."""
    leases_.acquire(conn, [SENDER + owner], owner, now, until)


def stay(conn: Connection, owner: str, until: datetime) -> bool:
    """It still is. False if it was declared gone meanwhile: its attempts are no longer its own, it needs a new name."""
    return leases_.renew(conn, SENDER + owner, owner, until)


def leave(conn: Connection, owner: str, now: datetime) -> None:
    """It goes: what it leaves open, if anything, is abandoned."""
    leases_.release(conn, owner, now, SENDER)


def orphaned(conn: Connection, out: Outbox, owner: str, now: datetime, *, alone: bool = False) -> int:
    """Attempts whose owner is gone have an unknown outcome: a human decides. Returns how many there were.

    Gone is who has not said for too long that it is there; with `alone`, everybody but `owner`.
    """
    leases_.end(conn, SENDER, datetime.max.replace(tzinfo=UTC) if alone else now, besides=owner)
    there = select(leases.c.owner).where(leases.c.name.startswith(SENDER))
    rows = conn.execute(
        select(deliveries.c.reply_id, deliveries.c.recipient)
        .where(
            deliveries.c.state == DeliveryState.ATTEMPTING.value,
            deliveries.c.owner != owner,
            deliveries.c.owner.not_in(there),
        )
        .with_for_update(skip_locked=True)
    ).all()
    words, attempting = "the sender stopped in the middle of sending", [DeliveryState.ATTEMPTING]
    ends = [End(row.reply_id, row.recipient, DeliveryState.UNKNOWN, attempting, detail=words) for row in rows]
    if ends:
        finish_all(conn, out, ends, now)
    return len(rows)


def listing(conn: Connection, state: DeliveryState | None, limit: int) -> list[Row]:
    query = select(deliveries).order_by(deliveries.c.changed_at.desc()).limit(limit)
    if state is not None:
        query = query.where(deliveries.c.state == state.value)
    return [_row(r) for r in conn.execute(query)]


def count(conn: Connection, states: Collection[DeliveryState]) -> int:
    """How many deliveries are in one of these states."""
    wanted = deliveries.c.state.in_([state.value for state in states])
    return conn.scalar(select(func.count()).select_from(deliveries).where(wanted)) or 0


def open_counts(conn: Connection) -> dict[tuple[str, str], int]:
    """(channel, state) → how many have not ended yet; those that have are many, and not read."""
    place = (deliveries.c.channel, deliveries.c.state)
    # All channels are named: so the index finds the states of each.
    among = (deliveries.c.channel.in_(CHANNELS), deliveries.c.state.in_([state.value for state in OPEN]))
    query = select(*place, func.count()).where(*among).group_by(*place)
    return {(channel, state): count for channel, state, count in conn.execute(query)}


def of_conversation(conn: Connection, conversation_id: str) -> list[Row]:
    query = select(deliveries).where(deliveries.c.conversation_id == conversation_id).order_by(deliveries.c.created_at)
    return [_row(r) for r in conn.execute(query)]


def moved_on(conn: Connection, event: Delivery) -> bool:
    """Whether the delivery that this event tells of has changed again since."""
    at = (deliveries.c.reply_id == event.reply_id) & (deliveries.c.recipient == event.recipient)
    return (conn.scalar(select(deliveries.c.change).where(at)) or 0) > event.change


def _row(r: object) -> Row:
    return Row(**{name: getattr(r, name) for name in Row.__slots__ if name != "state"}, state=DeliveryState(r.state))  # type: ignore[attr-defined]
