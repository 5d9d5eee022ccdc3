"""From a part's bytes to text, whatever the mail says about them."""

import codecs
import re
from email.header import decode_header

from charset_normalizer import from_bytes
from inscriptis import get_text

_TAG = re.compile(rb"<[^<>]{0,2000}>")
HTML_BYTES = 512 * 1024
HTML_TAGS = 20_000
_GUESS_FROM = 200
"""Below this many bytes a guess is worse than the Western default."""


def decode(data: bytes, declared: str | None) -> str:
    """Declared charset (Latin-1 meaning cp1252, as in browsers), else UTF-8, else a guess, else cp1252."""
    for charset in (_known(declared), "utf-8"):
        if charset is None:
            continue
        try:
            return data.decode(charset)
        except (UnicodeDecodeError, LookupError, ValueError):
            continue
    if len(data) > _GUESS_FROM:
        best = from_bytes(data[:20_000]).best()
        if best is not None and best.encoding:
            return data.decode(best.encoding, "replace")
    return data.decode("cp1252", "replace")


def _known(charset: str | None) -> str | None:
    if not charset:
        return None
    name = charset.strip().strip("\"'").lower()
    if name in ("iso-8859-1", "latin-1", "latin1", "us-ascii", "ascii", "ansi_x3.4-1968"):
        return "cp1252" if "ascii" not in name else "utf-8"
    try:
        return codecs.lookup(name).name
    except (LookupError, ValueError):
        return None


def header(value: object) -> str:
    """A header field's value as text: RFC 2047 words decoded, undeclared 8-bit repaired."""
    raw = str(value)
    if not raw.isascii():
        # The parser keeps undeclared bytes as surrogates.
        raw = decode(raw.encode("utf-8", "surrogateescape"), None)
    if "=?" not in raw:
        return raw
    try:
        parts = decode_header(raw)
    except (ValueError, IndexError, LookupError):
        return raw
    return "".join(
        part if isinstance(part, str) else decode(part, charset if charset else "raw-unicode-escape")
        for part, charset in parts
    )


def html_to_text(html: str) -> str:
    """Readable text of an HTML part. What is too large or too deep for the converter loses its tags only."""
    data = html.encode("utf-8", "replace")
    if len(data) > HTML_BYTES or data.count(b"<") > HTML_TAGS:
        return _TAG.sub(b" ", data[:HTML_BYTES]).decode("utf-8", "replace")
    try:
        return str(get_text(html)).strip()
    except Exception:  # lxml refuses some documents in many ways; the text still has to get through
        return _TAG.sub(b" ", data).decode("utf-8", "replace")
