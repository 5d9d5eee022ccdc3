"""A mail's bytes → header fields and a tree of parts. Pure, total, linear in the mail's size at any depth.

The standard library's parser walks line by line, stops at the first odd header line and writes attached mails anew.
This one cuts at boundaries only: what it gives are slices of the bytes that came, so an attached mail keeps its own.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from channels.email.parser.notes import Notes
from channels.email.parser.params import parameters
from channels.email.parser.transfer_encoding import decoded
from schemas import limits

_FARTHEST = 16 * limits.MAIL_HEADER_BYTES
_FIELD_CHARS = 64 * 1024
"""Of one field, in a header that is longer than it may be, and in any other."""
_HEAD_END = re.compile(rb"\r*\n\r*\n|\A\r*\n")
_FIELD = re.compile(r"([!-9;-~\udc80-\udcff]{1,200})[ \t]*:(.*)", re.DOTALL)
_MAYBE_FIELD = re.compile(rb"(?m)^[A-Za-z][A-Za-z0-9_-]{0,76}:[ \t\r\n]")
_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,126}/[a-z0-9*][a-z0-9!#$&^_.+-]{0,126}")
_GUESS = re.compile(rb"(?mi)^--([^\r\n]{1,200}?)[ \t]*\r*\n(?=(?:content-|\r*\n))")
_ENCODING = re.compile(r"[^a-z0-9]")


@dataclass(slots=True)
class Part:
    """One entity: its fields (undeclared bytes as surrogates, unfolded), its body as it stands in the mail."""

    fields: list[tuple[str, str]]
    body: bytes
    kind: str = "text/plain"
    params: dict[str, str] = field(default_factory=dict)
    parts: list["Part"] = field(default_factory=list)
    declared: str = ""
    """The Content-Type as the sender wrote it, without parameters."""
    _by_name: dict[str, list[str]] | None = None

    def first(self, name: str) -> str:
        """The value of the first field of that name, "" when there is none."""
        return next(iter(self.all(name)), "")

    def all(self, name: str) -> list[str]:
        """The values of all fields of that name, in their order."""
        if self._by_name is None:
            self._by_name = {}
            for key, value in self.fields:
                self._by_name.setdefault(key.lower(), []).append(value)
        return self._by_name.get(name.lower(), [])

    @property
    def encoding(self) -> str:
        """base64, quotedprintable, xuuencode, 7bit … letters and digits only; "" when not given."""
        value = self.first("Content-Transfer-Encoding").lower().split(";")[0].split("(")[0]
        return _ENCODING.sub("", value)

    @property
    def disposition(self) -> str:
        return self.first("Content-Disposition").split(";")[0].strip().strip('"').lower()

    def walk(self) -> Iterator["Part"]:
        stack = [self]
        while stack:
            part = stack.pop()
            yield part
            stack.extend(reversed(part.parts))


def split(raw: bytes, notes: Notes) -> Part:
    """The whole tree. Never raises; recursion is bounded by `limits.MAIL_DEPTH`."""
    if b"\n" not in raw[: limits.MAIL_HEADER_BYTES] and b"\r" in raw:
        raw = raw.replace(b"\r", b"\n")
        notes.defect("bare_cr")
    while raw[:1] in (b"\n", b"\r"):
        raw = raw.lstrip(b"\r\n")
    if raw.startswith((b"From ", b">From ")):  # mbox's own line
        raw = raw.partition(b"\n")[2]
    if raw.startswith(b"\xef\xbb\xbf"):
        raw = raw[3:]
    return entity(raw, notes, 0)


def entity(raw: bytes, notes: Notes, depth: int, default: str = "text/plain") -> Part:
    """One entity and what is in it."""
    notes.count += 1
    fields, body = head(raw, notes, top=depth == 0)
    part = Part(fields, body)
    _typed(part, notes, default)
    if part.kind.startswith("multipart/"):
        _multipart(part, notes, depth)
    return part


def head(raw: bytes, notes: Notes, *, top: bool = False) -> tuple[list[tuple[str, str]], bytes]:
    """Header fields and body. A line that is no field is passed over when fields follow; else the body begins
    with it: a forgotten blank line costs neither."""
    found = _HEAD_END.search(raw, 0, limits.MAIL_HEADER_BYTES)
    if found:
        block, body = raw[: found.start()], raw[found.end() :]
    elif len(raw) > limits.MAIL_HEADER_BYTES:
        notes.partial = notes.partial or "headers"
        # One field may be to blame (ten thousand people in Cc): it is cut, and those behind it are read.
        end = _HEAD_END.search(raw, limits.MAIL_HEADER_BYTES, _FARTHEST)
        block, body = (raw[: end.start()], raw[end.end() :]) if end else (raw[: limits.MAIL_HEADER_BYTES], b"")
    else:
        block, body = raw, b""
    if not block:
        return [], body
    lines = block.split(b"\n")
    fields: list[tuple[str, str]] = []
    current: list[str] = []
    limit = limits.MAIL_HEADERS
    offset = kept = room = 0
    for line in lines:
        text = line.rstrip(b"\r").decode("utf-8", "surrogateescape")
        match = _FIELD.match(text) if text[:1] not in (" ", "\t") else None
        if match:
            if current:
                _add(fields, current)
            if len(fields) >= limit:
                notes.partial = notes.partial or "headers"
                current = []
                break
            room = min(_FIELD_CHARS, limits.MAIL_HEADER_BYTES - kept)
            current = [match[1], match[2][: max(0, room)]]
            room -= len(text)
            kept += min(len(text), _FIELD_CHARS)
        elif text[:1] in (" ", "\t") and current:
            if room > 0:
                current.append(text)
                kept += len(text)
            else:
                notes.partial = notes.partial or "headers"
            room -= len(text)
        elif text:
            if not _MAYBE_FIELD.search(block, offset + len(line)):
                notes.defect("no_blank_line_after_headers" if current or fields else "no_headers")
                body = raw[offset:]
                break
            if top:
                notes.defect("malformed_header_line")
        offset += len(line) + 1
    if current:
        _add(fields, current)
    return fields, body


def _add(fields: list[tuple[str, str]], lines: list[str]) -> None:
    fields.append((lines[0], "".join(lines[1:]).strip()))


def _typed(part: Part, notes: Notes, default: str) -> None:
    value = part.first("Content-Type")
    declared, _, rest = value.partition(";")
    kind = declared.split("(")[0].strip().strip('"').lower()
    part.declared = kind
    if kind and not _TYPE.fullmatch(kind):
        words = kind.replace(",", " ").split()
        if words and _TYPE.fullmatch(words[0]):  # a forgotten semicolon
            rest, kind = f"{declared.strip()[len(words[0]) :]};{rest}", words[0]
        else:
            kind = {"text": "text/plain", "html": "text/html", "plain": "text/plain"}.get(kind, default)
        notes.defect("malformed_content_type")
    part.kind = kind or default
    part.params = parameters(rest) if rest else {}


def _multipart(part: Part, notes: Notes, depth: int) -> None:
    if depth >= limits.MAIL_DEPTH:
        notes.partial = notes.partial or "depth"
        return
    boundary = part.params.get("boundary", "").encode("utf-8", "surrogateescape").rstrip()
    pieces = _pieces(part.body, boundary, notes) if boundary else []
    if not pieces and part.encoding in ("base64", "quotedprintable"):  # a mailer that encoded the whole
        notes.defect("encoded_multipart")
        part.body = decoded(part.body, part.encoding, notes)
        pieces = _pieces(part.body, boundary, notes) if boundary else []
    if not pieces:
        guessed = _GUESS.search(part.body, 0, 200_000)
        notes.defect("missing_boundary")
        pieces = _pieces(part.body, guessed[1], notes) if guessed else []
    if not pieces:
        part.kind = "text/plain"  # nothing to split: what stands there is the text
        return
    default = "message/rfc822" if part.kind == "multipart/digest" else "text/plain"
    for piece in pieces:
        if notes.count >= limits.MAIL_PARTS:
            notes.partial = notes.partial or "parts"
            return
        part.parts.append(entity(piece, notes, depth + 1, default))


def _pieces(body: bytes, boundary: bytes, notes: Notes) -> list[bytes]:
    mark = b"--" + boundary
    cuts: list[tuple[int, int]] = []
    closed = False
    at = 0 if body.startswith(mark) else _after(body.find(b"\n" + mark))
    while at >= 0:
        end = at + len(mark)
        line_end = body.find(b"\n", end)
        line_end = len(body) if line_end < 0 else line_end
        rest = body[end : min(line_end, end + 80)].strip()
        if rest in (b"", b"--"):
            cuts.append((at, min(line_end + 1, len(body))))
            if rest:
                closed = True
                break
            if len(cuts) > limits.MAIL_PARTS + 1:
                break
        at = _after(body.find(b"\n" + mark, end - 1))
    if not cuts:
        return []
    pieces = [body[start:stop] for (_, start), (stop, _) in pairwise(cuts)]
    if not closed:
        notes.defect("unterminated_multipart")
        pieces.append(body[cuts[-1][1] :])
    # The line end before a boundary belongs to the boundary (RFC 2046 §5.1.1).
    return [_chop(piece) for piece in pieces]


def _after(at: int) -> int:
    return at + 1 if at >= 0 else at


def _chop(piece: bytes) -> bytes:
    if piece.endswith(b"\r\n"):
        return piece[:-2]
    return piece[:-1] if piece.endswith(b"\n") else piece
