"""What `channels parse email` prints: one object per mail, of the published format `switchboard.mail/1`. Pure."""

import hashlib
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from channels.email.letter import letter_of
from channels.email.parser import charsets
from channels.email.parser.answerable import MAX_AGE, Answerable, answerable
from channels.email.parser.fields import instant
from channels.email.parser.files import saved_as
from channels.email.parser.mail import Known, Mail
from channels.email.parser.newtext import Forwarded, Said
from channels.email.parser.safe_html import safe
from channels.language import scored
from schemas import limits
from schemas.text import clean_line, clean_text

FORMAT = "switchboard.mail/1"


def report(
    raw: bytes,
    *,
    file: str,
    index: int = 0,
    envelope_from: str | None = None,
    known: Mapping[str, Any] | None = None,
    account: bool = False,
    assume_verified: bool = False,
    now: str | None = None,
    fixed_for_unknown: bool = False,
    max_age_s: float | None = None,
    thread: bool = False,
) -> dict[str, Any]:
    """Never raises. `known` are the fields of `Known`; `now` (ISO) is the clock for `too_old`. `fixed_for_unknown` and
    `max_age_s` are what the policy says of automatic answers.

    With `thread` one more key, `letter`, has what `channels.email.threading.Letter` takes.
    """
    begun = time.perf_counter()
    given: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in (known or {}).items()}
    facts = Known(**given)
    if envelope_from is not None:
        facts = Known(**{**_fields(facts), "envelope_from": envelope_from})
    if not raw.strip():
        return unparsed(raw, "empty", file=file, index=index)
    try:
        mail = Mail(raw[: limits.MAIL_BYTES], facts)
        if not mail.root.fields and b"\0" in raw[:2000]:
            return unparsed(raw, "no header and no text", file=file, index=index)
        if len(raw) > limits.MAIL_BYTES:
            mail.notes.partial = "size"
        said = mail.said(whole=True)
        customer = mail.forwarded_customer(said)
        may = answerable(
            mail,
            assume_verified=assume_verified,
            account=account,
            arrived=_arrived(mail),
            now=datetime.fromisoformat(now) if now else datetime.now(UTC),
            fixed_for_unknown=fixed_for_unknown,
            max_age=MAX_AGE if max_age_s is None else timedelta(seconds=max_age_s),
            customer=customer,
        )
        made = _report(mail, said, may, customer)
    except Exception as error:  # whatever the mail did: a person will read its raw bytes
        return unparsed(raw, type(error).__name__, file=file, index=index)
    made |= {
        name: value for name, value in blank(raw, file, index).items() if name in ("file", "index", "size", "sha256")
    }
    made["ms"] = round((time.perf_counter() - begun) * 1000, 2)
    if thread:
        letter = letter_of(mail)
        if customer:
            letter = replace(letter, sender=customer, verified=False)
        made["letter"] = asdict(letter)
    cleaned: dict[str, Any] = _clean(made)
    return cleaned


def blank(raw: bytes, file: str, index: int) -> dict[str, Any]:
    """Every key, with nothing known."""
    return {
        "format": FORMAT,
        "file": clean_line(file),
        "index": index,
        "size": len(raw),
        "sha256": hashlib.sha256(raw).hexdigest(),
        "ms": 0.0,
        "outcome": "unparsed",
        "reason": None,
        "defects": [],
        "subject": "",
        "from": None,
        "sender": None,
        "authors": [],
        "reply_to": [],
        "to": [],
        "cc": [],
        "delivered_to": [],
        "envelope_from": None,
        "date": None,
        "message_id": f"digest:{hashlib.sha256(raw).hexdigest()}",
        "message_id_generated": True,
        "in_reply_to": [],
        "references": [],
        "attachments": [],
        "text": "",
        "html_safe": "",
        "new_text": "",
        "quoted": "",
        "signature": "",
        "forwarded": None,
        "language": None,
        "crypto": None,
        "calendar": None,
        "automatic": {"class": "none", "signals": []},
        "may_auto_answer": {"ok": False, "to": None, "because": ["unparsed"]},
        "bounce": None,
        "auth": {"verdict": "unknown", "authserv_id": None, "spf": None, "dkim": None, "dmarc": None, "aligned": False},
    }


def unparsed(raw: bytes, reason: str, *, file: str, index: int = 0) -> dict[str, Any]:
    """The line of a mail that could not be read: its beginning as text, for a person."""
    text = clean_text(charsets.decode(raw[:4000], None)).strip()
    return blank(raw, file, index) | {"reason": reason, "text": text, "new_text": text}


def unreadable(file: str, reason: str) -> dict[str, Any]:
    """The line of a path that could not be read at all."""
    return blank(b"", file, 0) | {"outcome": "unreadable", "reason": reason}


def _report(mail: Mail, said: Said, may: Answerable, customer: str) -> dict[str, Any]:
    people, auth = mail.people, mail.auth
    bounce, invited, language = mail.bounce, mail.invitation, scored(said.new)
    partial = mail.notes.partial
    return {
        **blank(mail.raw, "", 0),
        "outcome": "partial" if partial else "parsed",
        "reason": f"over the limit: {partial}" if partial else None,
        "defects": list(mail.notes.defects),
        "subject": mail.subject,
        "from": _box(people.author),
        "sender": {"name": "", "address": customer} if customer else _box(people.sender),
        "authors": [address for _, address in people.authors if address],
        "reply_to": [address for _, address in people.reply_to if address],
        "to": [address for _, address in people.to if address],
        "cc": [address for _, address in people.cc if address],
        "delivered_to": people.delivered_to,
        "envelope_from": people.envelope_from,
        "date": _written(mail.date),
        "message_id": mail.message_id,
        "message_id_generated": mail.message_id_generated,
        "in_reply_to": mail.in_reply_to,
        "references": mail.references,
        "attachments": [
            {
                "name": file.name,
                "saved_as": name,
                "type": file.type,
                "declared_type": file.declared_type,
                "size": len(file.data),
                "inline": file.inline,
                "content_id": file.content_id,
                "sha256": file.sha256,
            }
            for file, name in zip(mail.content.files, saved_as(mail.content.files), strict=True)
        ],
        "text": mail.text,
        "html_safe": safe(mail.html) if mail.html else "",
        "new_text": said.new,
        "quoted": said.quoted,
        "signature": said.signature,
        "forwarded": _forwarded(said.forwarded),
        "language": {"code": language[0], "score": round(language[1], 3)} if language else None,
        "crypto": mail.content.crypto,
        "calendar": {"method": invited.method, "summary": invited.summary, "start": invited.start} if invited else None,
        "automatic": {"class": mail.automatic.kind, "signals": list(mail.automatic.signals)},
        "may_auto_answer": {"ok": may.ok, "to": may.to, "because": list(may.because)},
        "bounce": {
            "kind": bounce.kind,
            "status": bounce.status,
            "recipient": bounce.recipient,
            "recipients": list(bounce.recipients),
            "about_message_id": bounce.about_message_id,
        }
        if bounce
        else None,
        "auth": {
            "verdict": "unknown" if customer else auth.verdict,
            "authserv_id": auth.authserv_id,
            "spf": auth.spf,
            "dkim": auth.dkim,
            "dmarc": auth.dmarc,
            "aligned": auth.aligned,
        },
    }


def _forwarded(found: Forwarded | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {"from": found.sender, "date": found.date, "subject": found.subject, "text": found.text}


def _arrived(mail: Mail) -> datetime | None:
    """When the mail reached us, by the topmost Received field; the sender's own Date only where there is none."""
    for value in mail.root.all("Received")[:1]:
        if at := instant(value.rpartition(";")[2]):
            return at
    return mail.date


def _box(box: tuple[str, str] | None) -> dict[str, str] | None:
    return {"name": box[0], "address": box[1]} if box else None


def _written(at: datetime | None) -> str | None:
    return at.isoformat(timespec="seconds").replace("+00:00", "Z") if at else None


def _fields(known: Known) -> dict[str, Any]:
    return {name: getattr(known, name) for name in known.__dataclass_fields__}


def _clean(value: Any) -> Any:
    """No lone surrogates and no NUL anywhere: what is printed is UTF-8."""
    if isinstance(value, str):
        return value if value.isascii() and "\0" not in value else clean_text(value)
    if isinstance(value, dict):
        return {key: _clean(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_clean(each) for each in value]
    return value
