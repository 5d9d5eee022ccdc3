"""A mail's bytes → all that is known of it. Pure; what it raises on, `parse` catches."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property

from channels.email.parser import html as html_
from channels.email.parser.automatic import Automatic, classify, is_a_machines
from channels.email.parser.bounces import Bounce, about_of, bounce, from_library
from channels.email.parser.complaints import Complaint, complaint
from channels.email.parser.content import Content, content_of
from channels.email.parser.fields import address_of_line, header, ids, instant, is_among
from channels.email.parser.invitation import Invitation, invitation
from channels.email.parser.mime import Part, split
from channels.email.parser.newtext import Forwarded, Said, inner, is_forward, said
from channels.email.parser.notes import Notes
from channels.email.parser.people import People, people
from channels.email.parser.verdict import Auth, authenticated
from schemas import limits
from schemas.text import clean_line, clean_text

_PLACEHOLDER = re.compile(
    r"(?i)(?:view|see|read|display|open)[^.\n]{0,60}(?:html|browser|web ?page|online)|"
    r"html[ -]?(?:e-?mail|message|format|version|capable|compatible|enabled)|"
    r"(?:does not|doesn't|cannot|can't|unable to) (?:support|display|show|read)|text version|"
    r"no text (?:content|version)|"
    r"html-?(?:ansicht|fähig|format|version|nachricht)|im browser|version (?:html|en ligne)|formato html|navegador|"
    r"dans votre navigateur"
)
_TRACE = {
    *("received", "return-path", "delivered-to", "x-original-to", "envelope-to", "x-received", "received-spf"),
    *("authentication-results", "status", "x-status", "x-uid", "x-keywords", "content-length", "lines"),
    *("x-gmail-labels", "x-envelope-to", "x-delivered-to", "x-rcpt-to", "x-uidl", "x-sieve", "x-scanned-by"),
    *("authentication-results-original", "dkim-filter", "x-evolution-source"),
}
_TRACES = (
    *("arc-", "x-spam", "x-rspamd-", "x-dspam-", "x-virus-", "x-ms-exchange-", "x-microsoft-antispam", "x-forefront-"),
    *("x-google-", "x-gm-", "x-proofpoint-", "x-barracuda-", "x-mozilla-"),
)
"""Fields that are noted on the way, and how their names begin."""
_PGP = re.compile(r"(?m)^-----BEGIN PGP (MESSAGE|SIGNED MESSAGE)-----[ \t\r]*$")
"""At the beginning of a line: neither quoted nor mentioned."""
_DOUBTFUL = {"none", "notification", "list", "bulk", "auto_reply"}
_FORWARDS = 5
"""How deep a forward of a forward is read."""
_SHORT = 400
"""Up to this many characters a plain part beside HTML may be a placeholder."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the account knows and the mail cannot say."""

    envelope_from: str | None = None
    envelope_to: tuple[str, ...] = ()
    own_addresses: tuple[str, ...] = ()
    authserv_ids: tuple[str, ...] = ()
    profile: str | None = None
    own_lists: tuple[str, ...] = ()
    trusted_forms: tuple[str, ...] = ()
    colleagues: tuple[str, ...] = ()


class Mail:
    """One mail that was read. What costs time and not everybody needs is worked out when it is asked for."""

    def __init__(self, raw: bytes, known: Known) -> None:
        self.raw = raw
        self.known = known
        self.notes = Notes()
        self.root: Part = split(raw, self.notes)
        self.content: Content = content_of(self.root, self.notes)
        damage: set[str] = set()
        self.people: People = people(
            self.root,
            hint=self.content.charset,
            envelope_from=known.envelope_from,
            own_lists=known.own_lists,
            trusted_forms=known.trusted_forms,
        )
        self.subject = clean_line(header(self.root.first("Subject"), self.content.charset, damage))[
            : limits.SUBJECT_CHARS
        ]
        self.in_reply_to = ids(self.root.first("In-Reply-To"))
        self.references = ids(self.root.first("References"))
        written = ids(self.root.first("Message-ID"))
        self.message_id = written[0] if written else generated_id(self.root, raw)
        self.message_id_generated = not written
        self.html = "\n".join(part for block in self.content.blocks for part in block.html)
        self.text = self._text()
        if self.content.crypto is None and (inline := _PGP.search(self.text)):
            self.content.crypto = "encrypted" if inline[1] == "MESSAGE" else "signed"
        self.automatic: Automatic = classify(
            self.root,
            subject=self.subject,
            text=self.text,
            envelope_from=self.people.envelope_from,
            sender=self._author_address(),
            own_addresses=known.own_addresses if self.people.via is None else (),
            via=self.people.via,
            reports=self.content.reports,
        )
        a_machines = is_a_machines(self._author_address(), self.people.envelope_from)
        if self.automatic.kind in _DOUBTFUL and self.people.via != "trusted_form" and a_machines:
            self._second_look()
        self._defects(damage)

    def _second_look(self) -> None:
        """A mail system writes, and not in a way that says what it is: a bounce when a known format fits."""
        if from_library(self.raw):
            self.automatic = replace(self.automatic, kind="bounce", signals=(*self.automatic.signals, "format:bounce"))

    @property
    def sealed(self) -> bool:
        """Nobody reads it here: encrypted, or signed in the form that hides the words."""
        return self.content.crypto == "encrypted" or (self.content.crypto == "signed" and not self.text.strip())

    @cached_property
    def date(self) -> datetime | None:
        return instant(self.root.first("Date"))

    @cached_property
    def auth(self) -> Auth:
        """For the author's domain: a customer behind our own list or form is as sure as the list or form is."""
        own = {address.rpartition("@")[2] for address in self.known.own_addresses}
        found = authenticated(
            self.root.fields,
            self._author_address(),
            self.known.authserv_ids,
            profile=self.known.profile,
            own_domains=own,
        )
        several = len({address for _, address in self.people.authors if address}) > 1
        unsure = several or self.people.via == "own_list" or not self.people.authors
        if found.verdict == "verified" and unsure:
            return Auth("unknown", found.authserv_id, found.spf, found.dkim, found.dmarc, found.aligned and not several)
        return found

    @cached_property
    def bounce(self) -> Bounce | None:
        if self.automatic.kind != "bounce":
            return None
        return bounce(self.root, text=self.text, subject=self.subject, reports=self.content.reports, raw=self.raw)

    @cached_property
    def receipt_for(self) -> str | None:
        """The mail that a receipt is about, without brackets."""
        if self.automatic.kind != "receipt":
            return None
        return about_of(self.root, "", self.content.reports)

    @cached_property
    def complaint(self) -> Complaint | None:
        if self.automatic.kind != "feedback_report":
            return None
        return complaint(self.root, text=self.text, reports=self.content.reports)

    @cached_property
    def invitation(self) -> Invitation | None:
        found = (invitation(method, data) for method, data in self.content.calendars[:5])
        return next((each for each in found if each is not None), None)

    def said(self, *, whole: bool) -> Said:
        """New text, history, signature, forwarded mail."""
        found = said(self.text, self.html, self.subject, whole=whole)
        attached = [data for kind, data in self.content.reports if kind == "message/rfc822"]
        if found.forwarded is None and len(attached) == 1 and is_forward(self.subject, self.text):
            return replace(found, forwarded=_attached(attached[0]))
        return found

    def forwarded_customer(self, found: Said) -> str:
        """Whose mail it is that one of our own people forwards; "" when it is no such mail. Only a verified colleague
        may say that somebody else has written."""
        _, colleague = self.people.sender or ("", "")
        colleagues = self.known.colleagues
        if found.forwarded is None or self.auth.verdict != "verified" or not is_among(colleague, colleagues):
            return ""
        own = {each.lower() for each in self.known.own_addresses}
        forwarded: Forwarded | None = found.forwarded
        for _ in range(_FORWARDS):
            customer = address_of_line(forwarded.sender) if forwarded else ""
            if forwarded is None or customer in own:
                return ""
            if not is_among(customer, colleagues):
                return customer
            forwarded = inner(forwarded)  # from colleague to colleague
        return ""

    def _author_address(self) -> str:
        if self.people.author and self.people.author[1]:
            return self.people.author[1]
        return self.people.sender[1] if self.people.sender else ""

    def _text(self) -> str:
        parts: list[str] = []
        for block in self.content.blocks:
            plain = "\n\n".join(each.strip("\r\n") for each in block.plain if each.strip())
            if block.html and (not plain or _stands_in(plain, block.html)):
                plain = "\n\n".join(filter(None, (html_.to_text(each) for each in block.html))) or plain
            if plain.strip() and not (block.html and parts and _same(plain, parts[-1])):
                parts.append(plain)
        text = clean_text("\n\n".join(parts)).strip("\n").rstrip()
        text = text.lstrip() if text[:1].isspace() else text
        if len(text) > limits.TEXT_CHARS:
            self.notes.partial = self.notes.partial or "text"
            text = text[: limits.TEXT_CHARS]
        return text

    def _defects(self, damage: set[str]) -> None:
        note = self.notes.defect
        for name in sorted(damage):
            note(name)
        if self.message_id_generated:
            note("no_message_id")
        if not self.root.all("From"):
            note("no_from")
        elif not any(address for _, address in self.people.authors):
            note("bad_from")
        elif len(self.people.authors) > 1:
            note("several_authors")
        if not self.root.first("Date"):
            note("no_date")
        elif self.date is None:
            note("bad_date")
        if self.people.cut:
            self.notes.partial = self.notes.partial or "addresses"


def _attached(data: bytes) -> Forwarded:
    """The mail that was forwarded as a file."""
    notes = Notes()
    inner = split(data, notes)
    blocks = content_of(inner, notes).blocks
    text = "\n\n".join(part for block in blocks for part in (block.plain or map(html_.to_text, block.html)))
    sender, date, subject = (clean_line(header(inner.first(name))) for name in ("From", "Date", "Subject"))
    return Forwarded(sender, date, subject, clean_text(text)[: limits.TEXT_CHARS].strip())


def _same(text: str, other: str) -> bool:
    """Whether the words are the same: some mailers send both renditions one after the other."""
    return len(text) < 4 * len(other) and text.split() == other.split()


def _stands_in(plain: str, html: Sequence[str]) -> bool:
    """Whether the plain part only says that there is HTML, or next to nothing of what the HTML says."""
    if len(plain) > _SHORT:
        return False
    size = sum(map(len, html))
    said_so = _PLACEHOLDER.search(plain) is not None
    if not said_so and size < 20 * len(plain) + 1000:
        return False
    rendered = " ".join(" ".join(html_.to_text(each) for each in html).split())
    words = " ".join(plain.split())
    if said_so:
        return len(rendered) > 0 and words.lower() not in rendered.lower()
    return len(rendered) > 5 * len(words) + 200 and words.lower() not in rendered[: 2 * len(words) + 200].lower()


def generated_id(root: Part, raw: bytes) -> str:
    """An id from the content: copies have the same, whatever way they came and whoever noted that on them."""
    sha = hashlib.sha256()
    for name, value in root.fields:
        lower = name.lower()
        if lower not in _TRACE and not lower.startswith(_TRACES):
            sha.update(f"{lower}:{' '.join(value.split())}\n".encode("utf-8", "surrogateescape"))
    sha.update(root.body.replace(b"\r\n", b"\n").rstrip() if root.fields else raw)
    return f"digest:{sha.hexdigest()}"
