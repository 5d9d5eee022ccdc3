"""A mail's bytes → Contact. Pure, and it never fails: what cannot be read becomes a contact all the same.

Under the limits of `schemas.limits`; over a limit the rest is left out and the contact is flagged `partial`.
"""

import hashlib
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from channels.email.letter import keys, letter_of, refers_to
from channels.email.parser import charsets
from channels.email.parser.answerable import addressed_to
from channels.email.parser.fields import address_of, address_of_line, header
from channels.email.parser.mail import Known, Mail
from channels.language import language_of
from schemas import limits
from schemas.interaction import Attachment, Contact, EmailBounce, EmailComplaint, EmailContent, Sender
from schemas.text import clean_line, clean_text


def parse(
    raw: bytes,
    *,
    account: str,
    received_at: datetime,
    envelope_from: str | None = None,
    envelope_to: Iterable[str] = (),
    own_addresses: Iterable[str] = (),
    authserv_id: str | None = None,
    authserv_ids: Iterable[str] = (),
    profile: str | None = None,
    own_lists: Iterable[str] = (),
    trusted_forms: Iterable[str] = (),
    colleagues: Iterable[str] = (),
    queue: str | None = None,
) -> Contact:
    """Never raises. `raw` is the mail as it came; `envelope_from` is "" for a null return path."""
    known: dict[str, Any] = {"account": account, "received_at": received_at, "queue": queue}
    try:
        facts = Known(
            envelope_from=envelope_from,
            envelope_to=tuple(envelope_to),
            own_addresses=tuple(own_addresses),
            authserv_ids=(*((authserv_id,) if authserv_id else ()), *authserv_ids),
            profile=profile,
            own_lists=tuple(own_lists),
            trusted_forms=tuple(trusted_forms),
            colleagues=tuple(colleagues),
        )
        return contact_of(Mail(raw, facts), **known)
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
    address = address_of(envelope_from or "")
    return Contact(
        account=account,
        native_id=f"digest:{hashlib.sha256(raw).hexdigest()}",
        received_at=received_at,
        queue=queue,
        sender=Sender(kind="email" if address else "anonymous", address=address),
        subject="Mail that could not be read",
        text=f"({why}; the raw mail is attached)\n\n{clean_text(charsets.decode(raw[:4000], None))}",
        flags=("unparsed",),  # so no machine answers it; it is not `automatic`, which a policy may close unseen
        content=EmailContent(envelope_from=envelope_from),
    )


def contact_of(mail: Mail, *, account: str, received_at: datetime, queue: str | None) -> Contact:
    """What the pipeline carries of a mail."""
    headers, cut = _headers(mail)
    name, address = mail.people.sender or ("", "")
    said = mail.said(whole=False)
    bounce, complaint = mail.bounce, mail.complaint
    letter = letter_of(mail)
    verdict = mail.auth.verdict
    customer = mail.forwarded_customer(said)
    if customer:  # nothing is proved of whoever wrote to the colleague
        name, address, verdict = "", customer, "unknown"
    flags = [
        name
        for name, holds in (
            ("partial", bool(mail.notes.partial) or cut),
            ("suppressed", mail.automatic.suppressed),
            ("encrypted", mail.sealed),
            ("signed", mail.content.crypto == "signed"),
            ("forwarded_by_us", bool(customer)),
            ("not_addressed_to_us", bool(mail.known.own_addresses) and not addressed_to(mail)),
        )
        if holds
    ]
    return Contact(
        account=account,
        received_at=received_at,
        queue=queue,
        native_id=mail.message_id,
        sender=Sender(kind="email" if address else "anonymous", address=address, name=name, verdict=verdict),
        subject=mail.subject,
        text=mail.text,
        language=language_of(said.new),
        automatic=mail.automatic.reason,
        flags=tuple(flags),
        attachments=tuple(
            Attachment(
                name=file.name[: limits.NAME_CHARS],
                media_type=clean_line(file.type)[:200],
                size=len(file.data),
                sha256=file.sha256,
                content_id=file.content_id,
            )
            for file in mail.content.files
        ),
        content=EmailContent(
            message_id="" if mail.message_id_generated else mail.message_id,
            in_reply_to=tuple(mail.in_reply_to[:5]),
            references=tuple(mail.references[-limits.MAIL_REFERENCES :]),
            headers=tuple(headers),
            envelope_from=mail.people.envelope_from,
            to=tuple(to for _, to in mail.people.to) or mail.known.envelope_to,
            cc=tuple(cc for _, cc in mail.people.cc),
            reply_to=tuple(to for _, to in mail.people.reply_to),
            delivered_to=tuple(mail.people.delivered_to),
            keys=keys(letter),
            refers_to=refers_to(letter),
            new_text=said.new if said.new != mail.text else None,
            forwarded_from=customer or (address_of_line(said.forwarded.sender) if said.forwarded else ""),
            automatic_class=mail.automatic.kind if mail.automatic.kind != "none" else "",
            bounce=EmailBounce(
                kind=bounce.kind,
                status=bounce.status,
                recipients=bounce.recipients,
                about_message_id=bounce.about_message_id,
            )
            if bounce
            else None,
            complaint=EmailComplaint(
                kind=complaint.kind, recipients=complaint.recipients, about_message_id=complaint.about_message_id
            )
            if complaint
            else None,
        ),
    )


def _headers(mail: Mail) -> tuple[list[tuple[str, str]], bool]:
    kept: list[tuple[str, str]] = []
    room = limits.MAIL_EVENT_HEADER_CHARS
    for name, value in mail.root.fields:
        line = clean_line(header(value[:room], mail.content.charset))
        room -= len(name) + len(line)
        if room < 0:
            return kept, True
        kept.append((clean_line(name), line))
    return kept, False
