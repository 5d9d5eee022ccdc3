"""What a mail carries: its text blocks, its files, its invitation, its report parts. Pure and total.

All inline text is the mail's text, in order, also when pictures stand between; of alternatives one block is made.
"""

import re
from dataclasses import dataclass, field

from channels.email.parser import charsets, tnef
from channels.email.parser.fields import BRACKETS, header
from channels.email.parser.files import File, file_of
from channels.email.parser.mime import Part, head
from channels.email.parser.notes import Notes
from channels.email.parser.params import Plain, parameters
from channels.email.parser.transfer_encoding import decoded, uu_files
from schemas import limits
from schemas.text import clean_line

_HTML_START = re.compile(r"\s{0,200}(?:<!doctype html|<html[\s>])", re.IGNORECASE)
_DATA = re.compile(rb"data:[a-z]+/[a-z0-9.+-]+;base64,[A-Za-z0-9+/=\s%]{200,}")
"""Pictures written into the HTML itself: megabytes that say nothing."""
_LAST_CHARACTER = re.compile(rb"[\xc0-\xff][\x80-\xbf]{0,3}\Z")
"""Of UTF-8, which would be half of one perhaps."""
_ENRICHED = re.compile(r"<[^<>]{0,200}>")
_MAILS = ("message/rfc822", "message/global")
_CALENDARS = ("text/calendar", "application/ics")
_SIGNATURES = ("application/pgp-signature", "application/pkcs7-signature", "application/x-pkcs7-signature")
_PKCS7 = ("application/pkcs7-mime", "application/x-pkcs7-mime")


@dataclass(slots=True)
class Block:
    """One run of inline text, in up to two renditions."""

    plain: list[str] = field(default_factory=list)
    html: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Content:
    """What walking through the parts has brought to light."""

    blocks: list[Block] = field(default_factory=list)
    files: list[File] = field(default_factory=list)
    calendars: list[tuple[str, bytes]] = field(default_factory=list)
    """(the method that Content-Type names, the bytes)"""
    reports: list[tuple[str, bytes]] = field(default_factory=list)
    """(kind, bytes) of message/delivery-status and its kin, and of the mail that a report is about."""
    crypto: str | None = None
    charset: str | None = None
    """The first charset that a text part declares: a hint for undeclared header bytes."""


def content_of(root: Part, notes: Notes) -> Content:
    """Everything in the tree below `root`."""
    found = Content(crypto=_crypto(root))
    for part in root.walk():
        if part.kind.startswith("text/") and part.params.get("charset"):
            found.charset = part.params["charset"]
            break
    _Walk(found, notes).part(root, None)
    if not found.blocks:
        _promote(root, found, notes)
    return found


def _crypto(root: Part) -> str | None:
    for part in root.walk():
        smime = part.params.get("smime-type", "").lower()
        if part.kind == "application/pgp-encrypted":  # Exchange makes multipart/mixed of what is around it
            return "encrypted"
        if part.kind == "multipart/encrypted" or (part.kind in _PKCS7 and "signed" not in smime):
            name = part.params.get("name", "").lower()
            if part.kind in _PKCS7 and ("compressed" in smime or "certs" in smime or name.endswith(".p7c")):
                continue
            return "encrypted"
        if part.kind == "multipart/signed" or (part.kind in _PKCS7 and "signed" in smime):
            return "signed"
    return None


class _Walk:
    def __init__(self, found: Content, notes: Notes) -> None:
        self._found = found
        self._notes = notes

    def part(self, part: Part, block: Block | None) -> None:
        """`block` is the alternative that this part belongs to, None outside of alternatives."""
        if part.kind.startswith("multipart/"):
            if part.kind == "multipart/alternative" and block is None:
                block = Block()
                self._found.blocks.append(block)
            for inner in part.parts:
                self.part(inner, block)
            if block is not None and part.kind == "multipart/alternative" and not (block.plain or block.html):
                self._found.blocks = [each for each in self._found.blocks if each is not block]
            return
        data = decoded(part.body, part.encoding, self._notes)
        if part.kind in _CALENDARS or (filename(part).lower().endswith(".ics") and not part.kind.startswith("text/")):
            self._found.calendars.append((part.params.get("method", ""), data))
            if block is not None and part.disposition != "attachment":
                return
        if part.kind.startswith("message/") or part.kind == "text/rfc822-headers":
            self._found.reports.append((part.kind, data))
        if (part.kind == "application/ms-tnef" or filename(part).lower() == "winmail.dat") and self._tnef(data):
            return
        if is_body(part):
            self._text(part, data, block)
        else:
            self._file(part, data)

    def _text(self, part: Part, data: bytes, block: Block | None) -> None:
        if part.kind == "text/plain" and b"begin" in data:
            data, files = uu_files(data)
            self._found.files += [file_of(clean_line(header(name)), "", content) for name, content in files]
        text = self.text_of(part, data)
        kind = part.kind
        if kind == "text/plain" and _HTML_START.match(text):
            kind = "text/html"
        if kind in ("text/enriched", "text/richtext"):
            text, kind = _ENRICHED.sub("", text), "text/plain"
        elif kind not in ("text/plain", "text/html"):
            return  # another alternative (AMP, watch) of what stands beside it
        target = block
        if target is None:
            target = Block()
            self._found.blocks.append(target)
        (target.html if kind == "text/html" else target.plain).append(text)

    def text_of(self, part: Part, data: bytes) -> str:
        declared = part.params.get("charset") or None
        if declared is None and part.kind == "text/html":
            declared = charsets.of_html(data)
        if len(data) > limits.MAIL_TEXT_PART_BYTES:
            data = self._bounded(data)
        noticed: set[str] = set()
        text = charsets.decode(data, declared, self._found.charset, noticed)
        for name in sorted(noticed):
            self._notes.defect(name)
        if part.params.get("format", "").lower() == "flowed" and part.kind == "text/plain":
            text = unflowed(text, delsp=part.params.get("delsp", "").lower() == "yes")
        return text

    def _bounded(self, data: bytes) -> bytes:
        """A text part within the limit, cut at a line's end where one is near; pictures in it go first."""
        data = _DATA.sub(b"", data)
        if len(data) <= limits.MAIL_TEXT_PART_BYTES:
            return data
        self._notes.partial = self._notes.partial or "text"
        data = data[: limits.MAIL_TEXT_PART_BYTES]
        end = data.rfind(b"\n") + 1
        return data[:end] if end > limits.MAIL_TEXT_PART_BYTES // 2 else _LAST_CHARACTER.sub(b"", data)

    def _file(self, part: Part, data: bytes) -> None:
        name = filename(part)
        if not name and part.kind in _MAILS:
            fields, _ = head(data, Notes())
            subject = next((value for key, value in fields if key.lower() == "subject"), "")
            name = (clean_line(header(subject)) or "message") + ".eml"
        self._found.files.append(
            file_of(
                shortened(name),
                part.kind if part.declared or part.kind != "text/plain" else "",
                data,
                declared=part.declared,
                inline=part.disposition == "inline" or (not part.disposition and bool(part.first("Content-ID"))),
                content_id=clean_line(header(part.first("Content-ID"))).strip(BRACKETS) or None,
            )
        )

    def _tnef(self, data: bytes) -> bool:
        """Outlook's winmail.dat unpacked. False: it stays a file as it is."""
        unpacked = tnef.unpack(data)
        if unpacked is None:
            self._notes.defect("bad_tnef")
            return False
        self._found.files += [file_of(clean_line(name), "", content) for name, content in unpacked.files]
        if not any(block.plain or block.html for block in self._found.blocks):
            block = Block()
            if unpacked.html:
                block.html.append(unpacked.html)
            elif unpacked.text:
                block.plain.append(unpacked.text)
            if block.plain or block.html:
                self._found.blocks.append(block)
        return True


def shortened(name: str) -> str:
    """Within the limit, with its extension."""
    stem, dot, extension = name.rpartition(".")
    if len(name) <= limits.NAME_CHARS or not dot or len(extension) > 15:
        return name[: limits.NAME_CHARS]
    return f"{stem[: limits.NAME_CHARS - len(extension) - 1]}.{extension}"


def is_body(part: Part) -> bool:
    """Whether the part is text to be read where it stands: not declared as a file, and without a file's name."""
    if not part.kind.startswith("text/") or part.kind in ("text/rfc822-headers", *_CALENDARS):
        return False
    if part.disposition == "attachment" or filename(part):
        return False
    return part.kind in (
        "text/plain",
        "text/html",
        "text/enriched",
        "text/richtext",
        "text/watch-html",
        "text/x-amp-html",
    )


def filename(part: Part) -> str:
    """The decoded name of a file, without folders; "" when it has none."""
    value = ""
    disposition = part.first("Content-Disposition")
    if ";" in disposition:
        value = parameters(disposition.partition(";")[2]).get("filename", "")
    value = value or part.params.get("name", "")
    return clean_line(value if isinstance(value, Plain) else header(value))


def _promote(root: Part, found: Content, notes: Notes) -> None:
    """No inline text at all: a single text part that bears a name (phones, scanners, MMS) is the text."""
    named = [part for part in root.walk() if part.kind in ("text/plain", "text/html")]
    if len(named) != 1 or (named[0].disposition == "attachment" and named[0] is not root):
        return
    part = named[0]
    walk = _Walk(found, notes)
    data = decoded(part.body, part.encoding, notes)
    if part is not root and part.disposition != "inline" and not _spoken(filename(part)):
        return
    text = walk.text_of(part, data)
    block = Block(html=[text]) if part.kind == "text/html" else Block(plain=[text])
    found.blocks.append(block)
    for number, file in enumerate(found.files):
        if file.data == data:
            del found.files[number]
            break


def _spoken(name: str) -> bool:
    return bool(re.fullmatch(r"(?i)(text|body|message|mail|part|att|untitled|msg)[\w.-]{0,20}", name))


def unflowed(text: str, *, delsp: bool) -> str:
    """format=flowed (RFC 3676): paragraphs in one line each; quote depth keeps lines apart."""
    out: list[str] = []
    open_depth = -1
    for line in text.replace("\r\n", "\n").split("\n"):
        stripped = line.lstrip(">")
        depth = len(line) - len(stripped)
        stripped = stripped.removeprefix(" ")
        signature = stripped == "-- "
        if open_depth == depth and not signature:
            out[-1] += stripped
        else:
            out.append(f"{'>' * depth} {stripped}" if depth else stripped)
        if stripped.endswith(" ") and not signature:
            open_depth = depth
            if delsp:
                out[-1] = out[-1][:-1]
        else:
            open_depth = -1
    return "\n".join(out)
