"""A reply → the mail that carries it. Pure: the same reply gives the same Message-ID, always."""

import hashlib
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from schemas.reply import Reply
from schemas.text import clean_line, clean_text

MAX_REFERENCES = 20
SUBJECT_CHARS = 200


def message_id(reply: Reply, domain: str) -> str:
    """Without brackets. Known before anything is sent, so that a fast answer finds its conversation."""
    return f"sb.{hashlib.sha256(reply.id.encode()).hexdigest()[:32]}@{domain}"


def compose(reply: Reply, *, address: str, name: str, now: datetime) -> EmailMessage:
    """The mail from `address` to the reply's recipient, below what it answers (RFC 5322 §3.6.4).

    Machine-made replies are marked so that no other machine answers them (RFC 3834 §5).
    """
    message = EmailMessage(policy=SMTP)
    domain = address.rpartition("@")[2]
    message["From"] = Address(display_name=_plain(name), addr_spec=address)
    message["To"] = Address(addr_spec=reply.recipient.address)
    message["Subject"] = _plain(subject(reply))
    message["Date"] = format_datetime(now)
    message["Message-ID"] = f"<{message_id(reply, domain)}>"
    parents = [ref for ref in reply.thread.references if _is_id(ref)]
    if _is_id(reply.thread.in_reply_to):
        message["In-Reply-To"] = f"<{reply.thread.in_reply_to}>"
    if parents:
        # Too many are trimmed in the middle: clients need the root and the latest.
        kept = parents if len(parents) <= MAX_REFERENCES else [parents[0], *parents[-MAX_REFERENCES + 1 :]]
        message["References"] = " ".join(f"<{ref}>" for ref in kept)
    if reply.automatic:
        message["Auto-Submitted"] = "auto-replied"
        message["X-Auto-Response-Suppress"] = "All"
    if reply.language:
        message["Content-Language"] = clean_line(reply.language)
    message.set_content(clean_text(reply.text), cte="quoted-printable")
    if reply.html is not None:
        message.add_alternative(clean_text(reply.html), subtype="html", cte="quoted-printable")
    return message


def subject(reply: Reply) -> str:
    """What the customer wrote, or the reply's own words; with the reference, once."""
    base = clean_line(reply.thread.subject or reply.subject) or "Your message"
    if reply.automatic and reply.subject:
        base = clean_line(reply.subject)
    elif not base.lower().startswith(("re:", "aw:", "sv:", "antw:")):
        base = f"Re: {base}"
    base = base[:SUBJECT_CHARS]
    return base if reply.reference in base else f"{base} [{reply.reference}]"


def _plain(value: str) -> str:
    """One line that the `email` package takes as it stands: it would decode encoded words in what is assigned,
    line ends in them included, and write those out as new header fields."""
    return clean_line(value).replace("=?", "= ?")


def _is_id(value: str) -> bool:
    return "@" in value and not any(c.isspace() or c in "<>" for c in value) and value.isascii() and len(value) < 900
