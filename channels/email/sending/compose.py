"""A reply → the mail that carries it. Pure: the same reply gives the same Message-ID, always."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime

from channels.email.parser.automatic import LOOP_FIELD
from channels.email.sending import bodies, mime
from channels.email.threading import Tokens
from schemas.addresses import compared, wire_address, wire_domain
from schemas.interaction import Attachment
from schemas.reply import Reply
from schemas.text import clean_line, clean_text

MAX_REFERENCES = 20
SUBJECT_CHARS = 200


def message_id(reply: Reply, domain: str, tokens: Tokens | None = None) -> str:
    """Without brackets, in lower case. Known before anything is sent, so that a fast answer finds its conversation."""
    digest = hashlib.sha256(reply.id.encode()).hexdigest()
    domain = wire_domain(domain.lower())
    if tokens is not None:
        try:
            prefix = tokens.id_prefix(reply.conversation_id, reply.recipient.address)
            return f"{prefix}{digest[:16]}@{domain}"
        except ValueError:  # a conversation whose id is no UUID: nothing to sign
            pass
    return f"sb.{digest[:32]}@{domain}"


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


File = tuple[Attachment, bytes]


def compose(
    reply: Reply,
    *,
    address: str,
    name: str,
    now: datetime,
    extras: Extras | None = None,
    files: Sequence[File] = (),
    recipient: str = "",
) -> bytes:
    """The mail from `address` for `recipient` (the customer, or somebody in copy), below what it answers (RFC 5322
    §3.6.4), with the reply's files. Raises ValueError for an address that is none.

    Machine-made replies are marked so that no other machine answers them (RFC 3834 §5). All is 7-bit, in short lines,
    but where our own or the recipient's local part is not ASCII: that mail has UTF-8 header fields (RFC 6532).
    """
    extras = extras or Extras()
    language = clean_line(reply.language or extras.language)
    recipient = recipient or reply.recipient.address
    head = mime.header(_fields(reply, wire_address(address), clean_line(name), now, extras, language, recipient))
    text = clean_text(reply.text)
    images = [each for each in files if each[0].content_id]
    unique = hashlib.sha256(reply.id.encode()).hexdigest()[:24]
    body = mime.text_part("plain", bodies.text(text, extras.signature, extras.quoted))
    if reply.html is not None or extras.html:
        shown = [(each.content_id or "", clean_line(each.name)) for each, _ in images]
        page = bodies.html(text, reply.html, extras.signature, extras.quoted, language, shown)
        rich = mime.text_part("html", clean_text(page))
        if images:
            rich = mime.multipart("related", f"r{unique}", [rich, *map(_part, images)])
        body = mime.multipart("alternative", f"a{unique}", [body, rich])
    else:
        images = []
    if others := [each for each in files if each not in images]:
        body = mime.multipart("mixed", f"m{unique}", [body, *(_part(each, attached=True) for each in others)])
    return head + body


def _fields(
    reply: Reply, address: str, name: str, now: datetime, extras: Extras, language: str, recipient: str
) -> list[tuple[str, str]]:
    domain = address.rpartition("@")[2]
    utf8 = not (address + wire_address(recipient)).isascii()
    fields = [("From", mime.mailbox(address, name)), ("To", _shown(reply.recipient.address, utf8))]
    others = {compared(each): each for each in reply.cc}
    others.pop(compared(reply.recipient.address), None)
    if others:
        fields.append(("Cc", ",\r\n ".join(_shown(each, utf8) for each in others.values())))
    if extras.reply_token and extras.tokens is not None:
        fields.append(("Reply-To", mime.mailbox(tagged(address, reply, extras.tokens), name)))
    fields += [
        ("Subject", mime.unstructured("Subject", subject(reply).replace("=?", "= ?"))),
        ("Date", format_datetime(now)),
        ("Message-ID", f"<{message_id(reply, domain, extras.tokens)}>"),
        (LOOP_FIELD, mime.unstructured(LOOP_FIELD, clean_line(reply.reference))),
    ]
    if _is_id(reply.thread.in_reply_to, utf8):
        fields.append(("In-Reply-To", mime.ids("In-Reply-To", [reply.thread.in_reply_to])))
    if parents := [ref for ref in reply.thread.references if _is_id(ref, utf8)]:
        # Too many are trimmed in the middle: clients need the root and the latest.
        kept = parents if len(parents) <= MAX_REFERENCES else [parents[0], *parents[-MAX_REFERENCES + 1 :]]
        fields.append(("References", mime.ids("References", kept)))
    if reply.automatic:
        fields += [("Auto-Submitted", "auto-replied"), ("X-Auto-Response-Suppress", "All")]
    if language:
        fields.append(("Content-Language", mime.unstructured("Content-Language", language)))
    fields.append(("MIME-Version", "1.0"))
    return fields


def _part(file: File, *, attached: bool = False) -> bytes:
    about, data = file
    return mime.file_part(clean_line(about.name), about.media_type, data, None if attached else about.content_id)


def _shown(address: str, utf8: bool) -> str:
    """One of To or Cc. An address that is not ASCII stands as it is only where the mail needs SMTPUTF8 anyway. Others
    must not come back because of somebody else's address, and what our relay offers says nothing of the servers behind
    it: they read it as the name of an empty group, as RFC 6857 has it."""
    wire = wire_address(address)
    mailbox = mime.mailbox(wire)
    return mailbox if utf8 or wire.isascii() else mime.empty_group(wire)


def subject(reply: Reply) -> str:
    """What the customer wrote, or the reply's own words; with the reference, once."""
    base = clean_line(reply.thread.subject or reply.subject) or "Your message"
    if reply.automatic and reply.subject:
        base = clean_line(reply.subject)
    elif not base.lower().startswith(("re:", "aw:", "sv:", "antw:")):
        base = f"Re: {base}"
    base = base[:SUBJECT_CHARS]
    return base if _names(base, reply.reference) else f"{base} [{reply.reference}]"


def _names(words: str, reference: str) -> bool:
    """As a word of its own: SB-104 is not named by SB-1042."""
    at = words.find(reference)
    while at >= 0:
        beside = words[max(0, at - 1) : at] + words[at + len(reference) :][:1]
        if not any(each.isalnum() or each in "_-" for each in beside):
            return True
        at = words.find(reference, at + 1)
    return False


_NOT_IN_ID = re.compile(r"[\s<>]")
_ID_OCTETS = 990
"""With brackets and a fold it is still a line (RFC 5322 §2.1.1)."""


def _is_id(value: str, utf8: bool) -> bool:
    """Whether it can stand in brackets in a field: mailers in the wild make ids without `@`, and all ids are names that
    nobody but their maker has to read. `utf8`: the mail has UTF-8 fields anyway."""
    fits = value.isprintable() and not _NOT_IN_ID.search(value) and 0 < len(value.encode()) <= _ID_OCTETS
    return fits and (utf8 or value.isascii())
