"""What a bounce does to the delivery that it is about: sent becomes failed, and the applier reopens the work item. What
was unknown is known by it, too: a mail that comes back had been sent."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.engine import Connection

from schemas.interaction import EmailBounce
from schemas.states import DeliveryState
from store import customers
from store.deliveries import finish
from store.outbox import Outbox
from store.tables import deliveries, thread_index

_GONE = (DeliveryState.SENT, DeliveryState.UNKNOWN)
UNDELIVERABLE = "undeliverable"
"""The tag of a customer whose address is no good."""


def apply(conn: Connection, out: Outbox, bounce: EmailBounce, conversation_id: str, now: datetime) -> bool:
    """Whether one of our mails came back by it. A repeat changes nothing.

    The mail is named by its Message-ID, which nobody but its recipients and the servers between has seen. Without one,
    it is the last that was sent to a recipient whom the report names, in the conversation that the bounce belongs to.
    A report of a delay is no bounce: the other side goes on trying.
    """
    if bounce.kind == "delayed":
        return False
    query = select(deliveries.c.reply_id, deliveries.c.recipient, deliveries.c.provider_id).where(
        deliveries.c.state.in_(_GONE), deliveries.c.channel == "email"
    )
    if bounce.about_message_id:
        about = bounce.about_message_id.strip("<> ").lower()
        known = select(thread_index.c.conversation_id).where(thread_index.c.message_id == about)
        query = query.where(deliveries.c.conversation_id.in_(known), deliveries.c.provider_id == about)
    else:
        query = query.where(
            deliveries.c.conversation_id == conversation_id, deliveries.c.recipient.in_(bounce.recipients)
        )
    rows = conn.execute(query.order_by(deliveries.c.changed_at.desc())).all()
    if not rows:
        return False
    # A mail to several has one Message-ID: the report says for whom it is.
    row = next((row for row in rows if row.recipient in bounce.recipients), rows[0])
    why = f"bounced{f' ({bounce.status})' if bounce.status else ''}: {_words(bounce)}"
    came = finish(conn, out, row.reply_id, row.recipient, DeliveryState.FAILED, frm=_GONE, now=now, detail=why)
    if came and bounce.kind == "hard":
        customers.tag(conn, "email", row.recipient, UNDELIVERABLE)
    return came


def _words(bounce: EmailBounce) -> str:
    if bounce.kind == "hard":
        return "the customer's mail server says that this address takes no mail; look for another one"
    return "the customer's mail server gave up for now, such as for a full mailbox; the answer may be sent again later"
