"""A reply → the mail that carries it. Pure: the same reply gives the same Message-ID, always."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import format_datetime

from channels.email.parser.automatic import LOOP_FIELD
from channels.email.sending import bodies
from channels.email.threading import Tokens
from schemas.reply import Reply
from schemas.text import clean_line, clean_text

MAX_REFERENCES = 20
SUBJECT_CHARS = 200


def message_id(reply: Reply, domain: str, tokens: Tokens | None = None) -> str:
    """Without brackets, in lower case. Known before anything is sent, so that a fast answer finds its conversation."""
    digest = hashlib.sha256(reply.id.encode()).hexdigest()
    if tokens is not None:
        try:
            prefix = tokens.id_prefix(reply.conversation_id, reply.recipient.address)
            return f"{prefix}{digest[:16]}@{domain.lower()}"
        except ValueError:  # a conversation whose id is no UUID: nothing to sign
            pass
    return f"sb.{digest[:32]}@{domain.lower()}"


def tagged(address: str, reply: Reply, tokens: Tokens) -> str:
    """`help+<token>@…`: an address of ours that says by itself which conversation, and whose, it is about."""
    local, _, domain = address.rpartition("@")
    try:
        return f"{local}+{tokens.detail(reply.conversation_id, reply.recipient.address)}@{domain}"
    except ValueError:
        return address


@dataclass(frozen=True, slots=True, kw_only=True)
class Extras:
    """What an account adds to its mails."""

    tokens: Tokens | None = None
    """Signs the Message-ID."""
    reply_token: bool = False
    """The token stands in Reply-To too."""
    signature: str = ""
    html: bool = True
    """A text gets an HTML part beside it."""
    language: str = ""
    """Of mails that do not say theirs."""
    quoted: str = ""
    """What the customer wrote, to stand below."""


def compose(reply: Reply, *, address: str, name: str, now: datetime, extras: Extras | None = None) -> EmailMessage:
    """The mail from `address` to the reply's recipient, below what it answers (RFC 5322 §3.6.4).

    Machine-made replies are marked so that no other machine answers them (RFC 3834 §5). All is 7-bit, in short lines,
    but for a recipient whose local part is not ASCII: that mail has UTF-8 header fields (RFC 6532).
    """
    extras = extras or Extras()
    recipient = reply.recipient.address
    message = EmailMessage(policy=SMTP if recipient.rpartition("@")[0].isascii() else SMTPUTF8)
    domain = address.rpartition("@")[2]
    message["From"] = Address(display_name=_plain(name), addr_spec=address)
    message["To"] = Address(addr_spec=wire_address(recipient))
    if extras.reply_token and extras.tokens is not None:
        message["Reply-To"] = Address(display_name=_plain(name), addr_spec=tagged(address, reply, extras.tokens))
    message["Subject"] = _plain(subject(reply))
    message["Date"] = format_datetime(now)
    message["Message-ID"] = f"<{message_id(reply, domain, extras.tokens)}>"
    message[LOOP_FIELD] = reply.reference
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
    if language := clean_line(reply.language or extras.language):
        message["Content-Language"] = language
    text = clean_text(reply.text)
    message.set_content(bodies.text(text, extras.signature, extras.quoted), cte="quoted-printable")
    html = reply.html
    if html is not None or extras.html:
        page = bodies.html(text, html, extras.signature, extras.quoted, language)
        message.add_alternative(clean_text(page), subtype="html", cte="quoted-printable")
    return message


def wire_address(address: str) -> str:
    """The address with its domain as DNS knows it. A domain that has no such form stays: the relay will say so."""
    local, at, domain = address.rpartition("@")
    try:
        return f"{local}{at}{domain if domain.isascii() else domain.encode('idna').decode()}"
    except UnicodeError:
        return address


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
