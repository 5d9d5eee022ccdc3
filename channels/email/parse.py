"""A mail's bytes → Contact. Pure, and it never fails: what cannot be read becomes a contact all the same.

Standard library `email` with the compat32 policy, which keeps what it cannot parse, under the limits of
`schemas.limits`; over a limit the rest is left out and the contact is flagged `partial`.
"""

import email
import email.policy
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from email.message import Message
from email.utils import getaddresses
from typing import Any

from channels.email import text
from channels.email.automatic import automatic_reason
from channels.email.verdict import verdict
from channels.language import language_of
from schemas import limits
from schemas.interaction import Attachment, Contact, EmailContent, Sender
from schemas.text import clean_line, clean_text

_BRACKETS = "<> \t\r\n"


@dataclass
class _Found:
    """What walking through the parts has brought to light."""

    plain: list[str] = field(default_factory=list)
    html: list[str] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)
    parts: int = 0
    partial: bool = False


def parse(
    raw: bytes,
    *,
    account: str,
    received_at: datetime,
    envelope_from: str | None = None,
    envelope_to: Iterable[str] = (),
    own_addresses: Iterable[str] = (),
    authserv_id: str | None = None,
    queue: str | None = None,
) -> Contact:
    """Never raises. `raw` is the mail as it came; `envelope_from` is "" for a null return path."""
    known: dict[str, Any] = {"account": account, "received_at": received_at, "queue": queue}
    try:
        return _parse(raw, known, envelope_from, tuple(envelope_to), tuple(own_addresses), authserv_id)
    except Exception as error:  # whatever the mail did: a person will read its raw bytes
        return unparsed(raw, f"{type(error).__name__}", envelope_from=envelope_from, **known)


def unparsed(
    raw: bytes,
    why: str,
    *,
    account: str,
    received_at: datetime,
    envelope_from: str | None = None,
    queue: str | None = None,
) -> Contact:
    """The contact of a mail that could not be parsed (in time): its beginning as text, for a person to read."""
    address = _address(envelope_from or "")
    return Contact(
        account=account,
        native_id=_digest_id(raw),
        received_at=received_at,
        queue=queue,
        sender=Sender(kind="email" if address else "anonymous", address=address),
        subject="Mail that could not be read",
        text=f"({why}; the raw mail is attached)\n\n{clean_text(text.decode(raw[:4000], None))}",
        flags=("unparsed",),  # so no machine answers it; it is not `automatic`, which a policy may close unseen
        content=EmailContent(envelope_from=envelope_from),
    )


def _parse(
    raw: bytes,
    known: dict[str, Any],
    envelope_from: str | None,
    envelope_to: tuple[str, ...],
    own: tuple[str, ...],
    authserv_id: str | None,
) -> Contact:
    head, partial = _bounded_head(raw)
    message = email.message_from_bytes(head, policy=email.policy.compat32)
    headers, cut = _headers(message)
    found = _Found(partial=partial or cut)
    _walk(message, found, 0)
    name, address = _sender(message, envelope_from)
    body = "\n\n".join(part.strip() for part in found.plain if part.strip())
    if not body:
        body = "\n\n".join(text.html_to_text(part) for part in found.html)
    body = clean_text(body).strip()
    if len(body) > limits.TEXT_CHARS:
        body, found.partial = body[: limits.TEXT_CHARS], True
    message_id = _ids(_first(message, "Message-ID"))[:1]
    automatic = automatic_reason(
        headers,
        envelope_from=envelope_from,
        sender=address,
        content_type=message.get_content_type(),
        own_addresses=own,
    )
    return Contact(
        **known,
        native_id=message_id[0] if message_id else _digest_id(raw),
        sender=Sender(
            kind="email" if address else "anonymous",
            address=address,
            name=name[: limits.NAME_CHARS],
            verdict=verdict(_raw_items(message), address, authserv_id),
        ),
        subject=clean_line(text.header(_first(message, "Subject")))[: limits.SUBJECT_CHARS],
        text=body,
        language=language_of(body),
        automatic=automatic,
        flags=("partial",) if found.partial else (),
        attachments=tuple(found.attachments),
        content=EmailContent(
            message_id=message_id[0] if message_id else "",
            in_reply_to=tuple(_ids(_first(message, "In-Reply-To"))[:5]),
            references=tuple(_ids(_first(message, "References"))[-limits.MAIL_REFERENCES :]),
            headers=tuple(headers),
            envelope_from=envelope_from,
            to=_addresses(message, "To") or envelope_to,
            cc=_addresses(message, "Cc"),
            reply_to=_addresses(message, "Reply-To"),
        ),
    )


def _bounded_head(raw: bytes) -> tuple[bytes, bool]:
    """The mail with its header block within the limits."""
    for blank in (b"\r\n\r\n", b"\n\n"):
        end = raw.find(blank)
        if 0 <= end <= limits.MAIL_HEADER_BYTES:
            return raw, False
    if len(raw) <= limits.MAIL_HEADER_BYTES:
        return raw, False
    return raw[: limits.MAIL_HEADER_BYTES], True


def _raw_items(message: Message) -> Iterator[tuple[str, str]]:
    """Fields with undeclared bytes as surrogates. The parser's own view replaces those bytes for good."""
    for name, value in message.raw_items():
        yield name, str(value)


def _first(message: Message, name: str) -> str:
    return next((value for key, value in _raw_items(message) if key.lower() == name.lower()), "")


def _headers(message: Message) -> tuple[list[tuple[str, str]], bool]:
    kept: list[tuple[str, str]] = []
    room = limits.MAIL_EVENT_HEADER_CHARS
    items = list(_raw_items(message))
    for name, value in items[: limits.MAIL_HEADERS]:
        line = clean_line(text.header(value)[:room])
        room -= len(name) + len(line)
        if room < 0:
            return kept, True
        kept.append((clean_line(name), line))
    return kept, len(items) > limits.MAIL_HEADERS


def _walk(part: Message, found: _Found, depth: int) -> None:
    found.parts += 1
    if depth > limits.MAIL_DEPTH or found.parts > limits.MAIL_PARTS:
        found.partial = True
        return
    kind = part.get_content_type()
    payload = part.get_payload()
    if isinstance(payload, list) and kind != "message/rfc822":
        for inner in payload:
            if isinstance(inner, Message):
                _walk(inner, found, depth + 1)
        return
    data = _bytes(part)
    disposition = str(part.get("Content-Disposition") or "").strip().lower()
    name = clean_line(text.header(_filename(part) or ""))
    inline = not disposition.startswith("attachment") and not name
    if inline and kind == "text/plain":
        found.plain.append(text.decode(data, part.get_content_charset()))
    elif inline and kind == "text/html":
        found.html.append(text.decode(data, part.get_content_charset()))
    else:
        found.attachments.append(
            Attachment(
                name=name[: limits.NAME_CHARS],
                media_type=clean_line(kind)[:200],
                size=len(data),
                sha256=hashlib.sha256(data).hexdigest(),
                content_id=clean_line(str(part.get("Content-ID") or "")).strip(_BRACKETS) or None,
            )
        )


def _bytes(part: Message) -> bytes:
    if part.get_content_type() == "message/rfc822":
        inner = part.get_payload()
        try:
            return inner[0].as_bytes() if isinstance(inner, list) and isinstance(inner[0], Message) else b""
        except Exception:  # a serialiser that meets what its own parser let through
            return b""
    try:
        payload = part.get_payload(decode=True)
    except (ValueError, LookupError, AssertionError):
        payload = None
    if isinstance(payload, bytes):
        return payload
    return str(part.get_payload() or "").encode("utf-8", "surrogateescape")


def _filename(part: Message) -> str | None:
    try:
        return part.get_filename()
    except (ValueError, LookupError, TypeError, IndexError):  # RFC 2231 damage
        return "attachment"


def _sender(message: Message, envelope_from: str | None) -> tuple[str, str]:
    pairs = _pairs(message, "From") or _pairs(message, "Sender")
    for name, address in pairs:
        if address:
            return name, address
    return "", _address(envelope_from or "")


def _addresses(message: Message, name: str) -> tuple[str, ...]:
    return tuple(address for _, address in _pairs(message, name) if address)


def _pairs(message: Message, name: str) -> list[tuple[str, str]]:
    values = [value[:100_000] for key, value in _raw_items(message) if key.lower() == name.lower()][:5]
    # Nested comments are quadratic and recursive in the standard library.
    values = [value for value in values if value.count("(") < 50 and value.count(",") <= limits.MAIL_ADDRESSES]
    try:
        found = getaddresses(values)
    except (ValueError, RecursionError, IndexError):
        return []
    return [(clean_line(text.header(name_)), _address(address)) for name_, address in found[: limits.MAIL_ADDRESSES]]


def _address(value: str) -> str:
    """Normalised; "" for what is no address."""
    address = clean_line(text.header(value)).strip(_BRACKETS).lower()
    local, at, domain = address.rpartition("@")
    usable = at and local and domain and not any(c in address for c in ' <>,;:"()[]\\')
    return address if usable and len(address) <= limits.ADDRESS_CHARS else ""


def _ids(value: object) -> list[str]:
    """Message-IDs without brackets, in order. Ids in the wild have no brackets, spaces or both."""
    words = clean_line(str(value or "")[:100_000]).replace("><", "> <").split()
    return [word.strip("<>,;")[:990] for word in words if "@" in word]


def _digest_id(raw: bytes) -> str:
    return f"digest:{hashlib.sha256(raw).hexdigest()}"
