"""Attempts on the delivery ledger, many in one transaction: how each begins and ends.

`attempting` is written before the first byte goes out, so that after a crash an attempt without a known end becomes
`unknown` and is never made again by machine.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, select, update
from sqlalchemy.engine import Connection

from schemas import ids
from schemas.delivery import Delivery
from schemas.states import DELIVERY_MOVES, DeliveryState
from store import conversations
from store import leases as leases_
from store.outbox import Outbox
from store.sql import news, write_rows
from store.tables import deliveries, replies

SENDER = "sender:"
"""Of leases: a sender that is there."""
WAITING = (DeliveryState.PENDING.value, DeliveryState.DEFERRED.value)


@dataclass(frozen=True, slots=True)
class Begin:
    """A due reply that `owner` wants to send to one recipient. `provider_id`: the id under which the customer's program
    will know the message."""

    reply_id: str
    recipient: str
    owner: str
    provider_id: str


@dataclass(frozen=True, slots=True)
class End:
    """How a delivery ended, if it is in one of `frm` (and of `owner`)."""

    reply_id: str
    recipient: str
    to: DeliveryState
    frm: Collection[DeliveryState]
    owner: str | None = None
    detail: str = ""
    provider_id: str | None = None
    due_at: datetime | None = None
    relay_away: bool = False
    """Deferred, because our own relay was not to be had."""
    uncounted: bool = False
    """Nothing was tried after all."""
    settled_by: str = ""
    """Who said so, where no machine could know."""


_Place = tuple[str, str]
_UNSEEN = ("session_id", "due_at", "relay_away", "detail", "created_at", "changed_at")
_SEEN = [each for each in deliveries.c if each.name not in _UNSEEN]
_AMONG = deliveries.c.reply_id.in_(bindparam("replies", expanding=True))
_AT = (deliveries.c.reply_id == bindparam("at_reply")) & (deliveries.c.recipient == bindparam("at_recipient"))


def begin_all(conn: Connection, wanted: Sequence[Begin], now: datetime) -> list[bool]:
    """Take each for one attempt. False if somebody else has it, or if its owner was declared gone meanwhile. The ids
    are indexed first, so that even the fastest answer finds its conversation."""
    there = {owner: leases_.holds(conn, SENDER + owner, owner) for owner in sorted({each.owner for each in wanted})}
    mine: dict[_Place, Begin] = {}
    for each in wanted:
        if there[each.owner]:
            mine.setdefault((each.reply_id, each.recipient), each)
    if not mine:
        return [False] * len(wanted)
    # Locked in one order: two senders may want the same.
    free = conn.execute(_FREE, {"replies": sorted({each.reply_id for each in mine.values()})}).all()
    free = [row for row in free if (row.reply_id, row.recipient) in mine]
    if free:
        taking = [
            {
                "at_reply": row.reply_id,
                "at_recipient": row.recipient,
                "owner": mine[(row.reply_id, row.recipient)].owner,
                "provider_id": mine[(row.reply_id, row.recipient)].provider_id,
                "changed_at": now,
            }
            for row in free
        ]
        write_rows(conn, _BEGIN, taking)
        found = [(row.conversation_id, mine[(row.reply_id, row.recipient)].provider_id) for row in free]
        conversations.index_all(conn, found)
    taken = {mine[(row.reply_id, row.recipient)] for row in free}
    return [each in taken for each in wanted]


_FREE = (
    select(deliveries.c.reply_id, deliveries.c.recipient, deliveries.c.conversation_id)
    .where(_AMONG, deliveries.c.state.in_(WAITING))
    .order_by(deliveries.c.reply_id, deliveries.c.recipient)
    .with_for_update()
)
_BEGIN = (
    update(deliveries)
    .where(_AT)
    .values(
        state=DeliveryState.ATTEMPTING.value,
        attempt=deliveries.c.attempt + 1,
        change=deliveries.c.change + 1,
        owner=bindparam("owner"),
        provider_id=bindparam("provider_id"),
        changed_at=bindparam("changed_at"),
    )
)


def finish_all(conn: Connection, out: Outbox, ends: Sequence[End], now: datetime) -> list[bool]:
    """Write how each ended and tell the topic. False for those that are not in one of their `frm`, or not their
    owner's."""
    for end in ends:
        for state in end.frm:
            if end.to not in DELIVERY_MOVES[state]:
                raise ValueError(f"no delivery moves from {state} to {end.to}")
    rows = conn.execute(_ENDING, {"replies": sorted({end.reply_id for end in ends})})
    known = {(row.reply_id, row.recipient): row for row in rows}
    written: list[bool] = []
    changes: list[dict[str, object]] = []
    told: list[Delivery] = []
    for end in ends:
        row = known.get((end.reply_id, end.recipient))
        fits = row is not None and row.state in end.frm and end.owner in (None, row.owner)
        written.append(fits)
        if row is None or not fits:
            continue
        del known[(end.reply_id, end.recipient)]  # one end each
        provider_id = row.provider_id if end.provider_id is None else end.provider_id
        changes.append(
            {
                "at_reply": end.reply_id,
                "at_recipient": end.recipient,
                "state": end.to.value,
                "attempt": row.attempt - end.uncounted,
                "change": row.change + 1,
                "detail": end.detail,
                "provider_id": provider_id,
                "changed_at": now,
                "due_at": end.due_at or now,
                "relay_away": end.relay_away,
            }
        )
        reply = row.body or {}
        customer = reply.get("recipient", {}).get("address", end.recipient)
        told.append(
            Delivery(
                id=ids.delivery_id(end.reply_id, row.change + 1, end.recipient if end.recipient != customer else ""),
                reply_id=end.reply_id,
                conversation_id=row.conversation_id,
                channel=row.channel,
                account=row.account,
                recipient=end.recipient,
                state=end.to,
                attempt=row.attempt - end.uncounted,
                change=row.change + 1,
                at=now,
                detail=end.detail,
                settled_by=end.settled_by,
                provider_id=provider_id,
                acknowledgement=reply.get("acknowledgement", False),
                answers=reply.get("answers", ()),
                traceparent=reply.get("traceparent"),
            )
        )
    if changes:
        write_rows(conn, _FINISH, changes)
        news(conn, "deliveries")  # the next one to the same recipient may go now
        out.put_many(conn, told, new=True)
    return written


_ENDING = (
    select(*_SEEN, replies.c.body)
    .join(replies, replies.c.id == deliveries.c.reply_id, isouter=True)
    .where(_AMONG)
    .order_by(deliveries.c.reply_id, deliveries.c.recipient)
    .with_for_update(of=deliveries)
)
_ENDED = ("state", "attempt", "change", "detail", "provider_id", "changed_at", "due_at", "relay_away")
_FINISH = update(deliveries).where(_AT).values({name: bindparam(name) for name in _ENDED})
