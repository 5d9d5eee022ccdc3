"""What a bounce does to the delivery that it is about: sent becomes failed, and the applier reopens the work item. What
was unknown is known by it, too: a mail that comes back had been sent."""

from collections.abc import Sequence
from datetime import datetime
from hmac import compare_digest
from typing import Any

from sqlalchemy import ColumnElement, Row, select
from sqlalchemy.engine import Connection

from schemas.addresses import compared
from schemas.interaction import EmailBounce
from schemas.states import DeliveryState
from store import customers, replies
from store.deliveries import finish
from store.outbox import Outbox
from store.tables import deliveries, thread_index

_Mail = Row[Any, Any, Any, Any]
"""A reply's id, recipient, Message-ID and state."""
_GONE = (DeliveryState.SENT, DeliveryState.UNKNOWN)
UNDELIVERABLE = "undeliverable"
"""The tag of a customer whose address is no good."""


def apply(conn: Connection, out: Outbox, bounce: EmailBounce, conversation_id: str, now: datetime) -> bool:
    """Whether one of our mails came back by it. A repeat changes nothing.

    The mail is named by its Message-ID, which nobody but its recipients and the servers between has seen. Without one
    that is ours, it is the last one whose Message-ID carries the signature of the return path that the bounce came to.
    Of its recipients it is about the one whom it names, else about the customer: a mail that was forwarded comes back
    for an address that we have never heard of. Without either it is the last that was sent to a recipient whom it
    names, in the conversation that it belongs to. A report of a delay is no bounce: the other side goes on trying.
    """
    if bounce.kind == "delayed":
        return False
    row = _about(conn, bounce, conversation_id)
    if row is None:
        return False
    why = f"bounced{f' ({bounce.status})' if bounce.status else ''}: {_words(bounce)}"
    came = finish(conn, out, row.reply_id, row.recipient, DeliveryState.FAILED, frm=_GONE, now=now, detail=why)
    if came and bounce.kind == "hard":
        customers.tag(conn, "email", row.recipient, UNDELIVERABLE)
    return came


def _about(conn: Connection, bounce: EmailBounce, conversation_id: str) -> _Mail | None:
    """The delivery that has to be told, the latest where several could be meant."""
    named = {compared(each) for each in bounce.recipients}
    signed = _by_message_id(conn, bounce) or _by_return_path(conn, bounce)
    if signed:
        rows = [row for row in signed if compared(row.recipient) in named]
        rows = rows or _to_the_customer(conn, signed)
    else:
        of_it = _sent(conn, deliveries.c.conversation_id == conversation_id)
        rows = [row for row in of_it if compared(row.recipient) in named]
    return next((row for row in rows if row.state in _GONE), None)


def _by_message_id(conn: Connection, bounce: EmailBounce) -> Sequence[_Mail]:
    if not bounce.about_message_id:
        return ()
    about = bounce.about_message_id.strip("<> ").lower()
    known = select(thread_index.c.conversation_id).where(thread_index.c.message_id == about)
    return _sent(conn, deliveries.c.conversation_id.in_(known), deliveries.c.provider_id == about)


def _by_return_path(conn: Connection, bounce: EmailBounce) -> Sequence[_Mail]:
    """All with that return path. Whoever has written to a conversation can work out its id, but not the signature."""
    if not bounce.about_conversation or not bounce.about_prefix:
        return ()
    prefix = bounce.about_prefix.encode()
    rows = _sent(conn, deliveries.c.conversation_id == bounce.about_conversation)
    return [row for row in rows if compare_digest(row.provider_id.encode()[: len(prefix)], prefix)]


def _sent(conn: Connection, *which: ColumnElement[bool]) -> Sequence[_Mail]:
    """Mails, whatever has become of them, the latest first."""
    query = select(deliveries.c.reply_id, deliveries.c.recipient, deliveries.c.provider_id, deliveries.c.state)
    query = query.where(deliveries.c.channel == "email", *which)
    return conn.execute(query.order_by(deliveries.c.changed_at.desc(), deliveries.c.created_at.desc())).all()


def _to_the_customer(conn: Connection, rows: Sequence[_Mail]) -> list[_Mail]:
    """Without the copies."""
    known = replies.load(conn, sorted({row.reply_id for row in rows}))
    return [row for row in rows if row.reply_id in known and row.recipient == known[row.reply_id].recipient.address]


def _words(bounce: EmailBounce) -> str:
    if bounce.kind == "hard":
        return "the customer's mail server says that this address takes no mail; look for another one"
    return "the customer's mail server gave up for now, such as for a full mailbox; the answer may be sent again later"
