"""What people do about deliveries: take a reply back, say what became of it, have it tried at once."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.engine import Connection

from schemas.errors import NotFound, StateConflict
from schemas.reply import Reply
from schemas.states import DeliveryState
from store import replies
from store.attempts import End, finish_all
from store.deliveries import copy_in, due_now, recipients
from store.outbox import Outbox
from store.tables import deliveries

_PENDING = (DeliveryState.PENDING,)
_UNSENT = (DeliveryState.PENDING, DeliveryState.DEFERRED)


def withdraw(conn: Connection, out: Outbox, reply: Reply, by: str, now: datetime) -> None:
    """Take a reply back before it is sent to anybody; what it answers waits for a person again. A repeat changes
    nothing.

    Raises StateConflict when it is on its way, or gone.
    """
    copy_in(conn, [reply], now)  # it may not have come by the topic yet
    query = select(deliveries.c.state).where(deliveries.c.reply_id == reply.id).with_for_update()
    states = set(conn.scalars(query))
    if states == {DeliveryState.WITHDRAWN.value}:
        return
    if gone := states - {DeliveryState.PENDING.value}:
        raise StateConflict(f"the reply is {min(gone)} already", hint="write another one")
    _take_back(conn, out, reply, _PENDING, f"withdrawn by {by}", now)


def withdraw_acknowledgements(
    conn: Connection, out: Outbox, conversation_id: str, through: int, by: str, now: datetime
) -> None:
    """Take back the mails that would say "we have got your message" after its answer: those of the messages up to
    `through` that have not gone yet. The caller holds the conversation's lock."""
    for made in replies.of_conversation(conn, conversation_id):
        if made.acknowledgement and made.channel == "email" and made.answers_through <= through:
            copy_in(conn, [made], now)
            _take_back(conn, out, made, _UNSENT, f"{by} has answered", now)


def resolve(conn: Connection, out: Outbox, reply_id: str, *, sent: bool, now: datetime, by: str = "a person") -> None:
    """A person's word on an unknown outcome. Raises NotFound, StateConflict."""
    rows = conn.execute(select(deliveries).where(deliveries.c.reply_id == reply_id)).all()
    if not rows:
        raise NotFound(f"no delivery of reply {reply_id}")
    to = DeliveryState.SENT if sent else DeliveryState.PENDING
    words = f"resolved by {by}: {'it was sent' if sent else 'send it again'}"
    ends = [
        End(reply_id, row.recipient, to, [DeliveryState.UNKNOWN], detail=words, settled_by=by if sent else "")
        for row in rows
    ]
    if not any(finish_all(conn, out, ends, now)):
        raise StateConflict(f"the delivery of {reply_id} is {rows[0].state}, not unknown")


def retry(conn: Connection, now: datetime, *, reply_id: str | None = None, account: str | None = None) -> int:
    """Deferred deliveries are due now: of one reply, of one account, or all of them. Returns how many that were.

    Raises NotFound, StateConflict for a reply that has none.
    """
    due = due_now(conn, now, reply_id=reply_id, account=account)
    if reply_id is not None and not due:
        state = conn.scalar(select(deliveries.c.state).where(deliveries.c.reply_id == reply_id))
        if state is None:
            raise NotFound(f"no delivery of reply {reply_id}", hint="switchboard deliveries list --state deferred")
        unknown = f"switchboard deliveries resolve {reply_id} --sent | --resend"
        raise StateConflict(
            f"the delivery of {reply_id} is {state}, not deferred",
            hint=unknown if state == DeliveryState.UNKNOWN else "",
        )
    return due


def _take_back(
    conn: Connection, out: Outbox, reply: Reply, frm: Collection[DeliveryState], why: str, now: datetime
) -> None:
    ends = [End(reply.id, each, DeliveryState.WITHDRAWN, frm, detail=why) for each in recipients(reply)]
    finish_all(conn, out, ends, now)
