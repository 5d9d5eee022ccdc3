"""Mail as bytes: header fields, parts, files. Pure; all 7-bit, lines of at most 78 octets where words allow it.

The `email` package does the same through a parser and a folder for each field, at some 4 ms a mail; what is written
here is what `tests/golden/mails` holds, and what the package reads back the same.
"""

import base64
import binascii
import re
from collections.abc import Sequence
from email.header import Header
from urllib.parse import quote

from schemas.addresses import quoted_address

LINE = 76
_FOLD = "\r\n "
_ADDRESS = re.compile(
    r"(?:[A-Za-z0-9!#$%&'*+/=?^_`{|}~.\x80-\U0010ffff-]+|\"(?:[^\"\\]|\\.)+\")"
    r"@(?:[A-Za-z0-9.\x80-\U0010ffff-]+|\[[A-Za-z0-9.:]+\])"
)
"""After `quoted_address`. RFC 6531 §3.3; what of it cannot be printed is no part of an address either."""
_MAX_LINE = 998
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]*")
_MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,64}/[A-Za-z0-9!#$&^_.+-]{1,64}")
_NAME_CHARS = 50
"""What a line takes of a file's name."""

Fields = Sequence[tuple[str, str]]


def unstructured(name: str, value: str) -> str:
    """A field's body, one line of Unicode, folded and in encoded words where it needs them (RFC 2047)."""
    if value.isascii() and len(name) + 2 + len(value) <= LINE:
        return value
    charset = "us-ascii" if value.isascii() else "utf-8"
    return Header(value, charset, maxlinelen=LINE, header_name=name).encode(linesep="\r\n")


def mailbox(address: str, display_name: str = "") -> str:
    """`Ann <ann@example.org>`. Raises ValueError for what is no address (RFC 5322 §3.4.1, RFC 6532 §3.2)."""
    written = quoted_address(address)
    if not (_ADDRESS.fullmatch(written) and written.isprintable()):
        raise ValueError(f"{address!r} is no address that a mail could go to")
    address = written
    if not display_name:
        return address
    if not display_name.isascii():
        display_name = unstructured("Reply-To", display_name)
    elif not _ATOMS.fullmatch(display_name):
        escaped = display_name.replace("\\", "\\\\").replace('"', '\\"')
        display_name = f'"{escaped}"'
    short = len(display_name) + len(address) + len("Reply-To:  <>") <= LINE
    return f"{display_name}{' ' if short else _FOLD}<{address}>"


def empty_group(name: str) -> str:
    """`=?utf-8?…?= :;`: somebody who is named, but cannot be written to (RFC 6854)."""
    return f"{unstructured('Reply-To', name)} :;"


def ids(name: str, found: Sequence[str]) -> str:
    """Message-IDs, each on a line of its own."""
    beside = len(f"{name}: <{found[0]}>".encode()) <= _MAX_LINE
    return ("" if beside else _FOLD) + _FOLD.join(f"<{each}>" for each in found)


def text_part(kind: str, body: str) -> bytes:
    """`plain` or `html`, quoted-printable: lines of any length, and no need of 8BITMIME."""
    lines = body.replace("\n", "\r\n").encode()
    head = f'Content-Type: text/{kind}; charset="utf-8"\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n'
    return head.encode() + binascii.b2a_qp(lines, istext=True)


def file_part(name: str, media_type: str, data: bytes, content_id: str | None = None) -> bytes:
    """An attachment; with `content_id` an image that the HTML shows."""
    kind = media_type if _MEDIA_TYPE.fullmatch(media_type) else "application/octet-stream"
    if kind.lower().startswith(("multipart/", "message/")):  # base64 is not allowed for those (RFC 2045 §6.4)
        kind = "application/octet-stream"
    fields = [("Content-Type", kind), ("Content-Transfer-Encoding", "base64")]
    fields.append(("Content-Disposition", ("inline" if content_id else "attachment") + _filename(name)))
    if content_id:
        fields.append(("Content-ID", f"<{content_id}>"))
    return header(fields) + b"\r\n" + base64.encodebytes(data).replace(b"\n", b"\r\n")


def multipart(kind: str, boundary: str, parts: Sequence[bytes]) -> bytes:
    """Parts of one. The boundary begins with `=_`, which neither quoted-printable nor base64 ever holds."""
    line = f"--=_{boundary}".encode()
    head = f'Content-Type: multipart/{kind};\r\n boundary="=_{boundary}"\r\n\r\n'.encode()
    return head + b"".join(line + b"\r\n" + _ended(part) + b"\r\n" for part in parts) + line + b"--\r\n"


def header(fields: Fields) -> bytes:
    """The fields as they go over the wire; UTF-8 only where an address needs it (RFC 6532)."""
    return "".join(f"{name}: {value}\r\n" for name, value in fields).encode()


def _ended(part: bytes) -> bytes:
    """The line end before a boundary belongs to the boundary; ours stays the part's."""
    return part if part.endswith(b"\r\n") else part + b"\r\n"


def _filename(name: str) -> str:
    """`; filename=…`: quoted where it is short and ASCII, else in sections of percent-encoded UTF-8 (RFC 2231)."""
    if not name:
        return ""
    if name.isascii() and len(name) <= _NAME_CHARS and "=?" not in name:  # which many read as an encoded word
        escaped = name.replace("\\", "\\\\").replace('"', '\\"')
        return f';\r\n filename="{escaped}"'
    sections = [""]
    for char in (quote(each, safe="!#$&+-.^_`{}|~") for each in name):  # whole ones: each section is read by itself
        if len(sections[-1]) + len(char) > _NAME_CHARS:
            sections.append("")
        sections[-1] += char
    if len(sections) == 1:
        return f";\r\n filename*=utf-8''{sections[0]}"
    return "".join(
        f";\r\n filename*{number}*={section}" for number, section in enumerate(["utf-8''" + sections[0], *sections[1:]])
    )
