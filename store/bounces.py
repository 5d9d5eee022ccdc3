"""What a bounce does to the delivery that it is about: sent becomes failed, and the applier reopens the work item."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.engine import Connection

from schemas.interaction import EmailBounce
from schemas.states import DeliveryState
from store import customers
from store.deliveries import finish
from store.outbox import Outbox
from store.tables import deliveries, thread_index

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
        deliveries.c.state == DeliveryState.SENT.value, deliveries.c.channel == "email"
    )
    if bounce.about_message_id:
        about = bounce.about_message_id.strip("<> ").lower()
        known = select(thread_index.c.conversation_id).where(thread_index.c.message_id == about)
        query = query.where(deliveries.c.conversation_id.in_(known), deliveries.c.provider_id == about)
    else:
        query = query.where(
            deliveries.c.conversation_id == conversation_id, deliveries.c.recipient.in_(bounce.recipients)
        )
    row = conn.execute(query.order_by(deliveries.c.changed_at.desc()).limit(1)).one_or_none()
    if row is None:
        return False
    why = f"bounced{f' ({bounce.status})' if bounce.status else ''}: {_words(bounce)}"
    came = finish(
        conn, out, row.reply_id, row.recipient, DeliveryState.FAILED, frm=[DeliveryState.SENT], now=now, detail=why
    )
    if came and bounce.kind == "hard":
        customers.tag(conn, "email", row.recipient, UNDELIVERABLE)
    return came


def _words(bounce: EmailBounce) -> str:
    if bounce.kind == "hard":
        return "the customer's mail server says that this address takes no mail; look for another one"
    return "the customer's mail server gave up for now, such as for a full mailbox; the answer may be sent again later"
