"""What a feedback report does (RFC 5965): who complained about one of our mails gets no automatic one any more."""

from sqlalchemy import select
from sqlalchemy.engine import Connection

from schemas.interaction import EmailComplaint
from store import customers
from store.tables import deliveries

SUPPRESSED = "suppressed"
"""The tag of a customer who gets answers of people only."""
NO_COMPLAINT = ("not-spam",)


def apply(conn: Connection, complaint: EmailComplaint) -> int:
    """How many addresses are suppressed by it. Only a mail that we have sent can be complained about: else anybody
    could silence us for anybody."""
    if complaint.kind in NO_COMPLAINT or not complaint.about_message_id:
        return 0
    about = complaint.about_message_id.strip("<> ").lower()
    sent = list(conn.scalars(select(deliveries.c.recipient).where(deliveries.c.provider_id == about)))
    named = [recipient for recipient in sent if recipient in complaint.recipients]
    # Most reporters leave out who it was; a mail to one person leaves no doubt.
    suppressed = named or (sent if len(sent) == 1 else [])
    for recipient in suppressed:
        customers.tag(conn, "email", recipient, SUPPRESSED)
    return len(suppressed)
