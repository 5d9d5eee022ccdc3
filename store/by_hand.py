"""What people do about deliveries: take a reply back, say what became of it, have it tried at once."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.engine import Connection

from schemas.addresses import compared
from schemas.errors import NotFound, StateConflict
from schemas.reply import Reply
from schemas.states import DeliveryState
from store import replies
from store.attempts import End, finish_all
from store.deliveries import copy_in, due_now, recipients
from store.outbox import Outbox
from store.tables import deliveries
from store.tables import replies as replies_table

_PENDING = (DeliveryState.PENDING,)
_UNSENT = (DeliveryState.PENDING, DeliveryState.DEFERRED)
_GONE = {
    DeliveryState.PENDING: "was tried before, so that a mail may be there",
    DeliveryState.ATTEMPTING: "is being sent",
    DeliveryState.SENT: "has been sent",
    DeliveryState.DEFERRED: "was tried before, and will be again",
    DeliveryState.FAILED: "was tried, and could not be delivered",
    DeliveryState.UNKNOWN: "may have arrived",
    DeliveryState.WITHDRAWN: "was withdrawn",
}


class TooLate(StateConflict):
    """A reply cannot be withdrawn any more: an attempt was made."""


class WhichRecipient(StateConflict):
    """Several recipients of a reply have an unknown outcome: say of whom the word is."""

    def __init__(self, reply_id: str, unknown: Sequence[str]) -> None:
        super().__init__(
            f"whether {reply_id} arrived is unknown for {len(unknown)} recipients: {', '.join(unknown)}",
            hint="say for whom, one at a time",
        )
        self.unknown = list(unknown)


def withdraw(conn: Connection, out: Outbox, reply: Reply, by: str, now: datetime) -> None:
    """Take a reply back before it is sent to anybody; what it answers waits for a person again. A repeat changes
    nothing.

    Raises TooLate once an attempt was made for anybody, however it ended: what a person has sent again after an unknown
    outcome waits, and may have arrived all the same.
    """
    copy_in(conn, [reply], now)  # it may not have come by the topic yet
    query = select(deliveries).where(deliveries.c.reply_id == reply.id).order_by(deliveries.c.recipient)
    rows = conn.execute(query.with_for_update()).all()
    if all(row.state == DeliveryState.WITHDRAWN for row in rows):
        return
    gone = [row for row in rows if row.attempt or row.state != DeliveryState.PENDING]
    if gone:
        words = "; ".join(f"the mail to {row.recipient} {_GONE[DeliveryState(row.state)]}" for row in gone)
        raise TooLate(f"it is too late to withdraw it: {words}", hint="write another one")
    _take_back(conn, out, reply, _PENDING, f"withdrawn by {by}", now)


def unsent(conn: Connection, by: str, now: datetime) -> list[Reply]:
    """The agent's mails that wait for their time, oldest first: `withdraw` takes them."""
    waiting = select(deliveries.c.reply_id).where(
        deliveries.c.channel == "email",
        deliveries.c.state == DeliveryState.PENDING.value,
        deliveries.c.due_at > now,
        deliveries.c.attempt == 0,
    )
    query = select(replies_table.c.body).where(replies_table.c.id.in_(waiting)).order_by(replies_table.c.created_at)
    found = [Reply.model_validate(body) for body in conn.scalars(query)]
    return [each for each in found if (each.author.kind, each.author.name) == ("agent", by)]


def withdraw_acknowledgements(
    conn: Connection, out: Outbox, conversation_id: str, through: int, by: str, now: datetime
) -> None:
    """Take back the mails that would say "we have got your message" after its answer: those of the messages up to
    `through` that have not gone yet. The caller holds the conversation's lock."""
    for made in replies.of_conversation(conn, conversation_id):
        if made.acknowledgement and made.channel == "email" and made.answers_through <= through:
            copy_in(conn, [made], now)
            _take_back(conn, out, made, _UNSENT, f"{by} has answered", now)


def resolve(
    conn: Connection,
    out: Outbox,
    reply_id: str,
    *,
    sent: bool,
    now: datetime,
    recipient: str | None = None,
    by: str = "a person",
) -> str:
    """A person's word on the unknown outcome for one recipient, who need not be named when there is one alone. Who it
    was. Raises NotFound, WhichRecipient, StateConflict."""
    query = select(deliveries).where(deliveries.c.reply_id == reply_id).order_by(deliveries.c.recipient)
    rows = conn.execute(query.with_for_update()).all()
    if recipient is not None:
        named = [row for row in rows if compared(row.recipient) == compared(recipient)]
        if rows and not named:
            others = ", ".join(row.recipient for row in rows)
            raise NotFound(f"{reply_id} does not go to {recipient}", hint=f"it goes to {others}")
        rows = named
    if not rows:
        raise NotFound(f"no delivery of reply {reply_id}", hint="switchboard deliveries list --state unknown")
    unknown: list[str] = [row.recipient for row in rows if row.state == DeliveryState.UNKNOWN]
    if not unknown:
        states = ", ".join(f"{row.state} for {row.recipient}" for row in rows)
        raise StateConflict(f"the outcome of {reply_id} is not unknown: it is {states}")
    if len(unknown) > 1:
        raise WhichRecipient(reply_id, unknown)
    to = DeliveryState.SENT if sent else DeliveryState.PENDING
    words = f"resolved by {by}: {'it was sent' if sent else 'send it again'}"
    frm = [DeliveryState.UNKNOWN]
    finish_all(conn, out, [End(reply_id, unknown[0], to, frm, detail=words, settled_by=by if sent else "")], now)
    return unknown[0]


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
