"""Header fields as people read them: words decoded, addresses, ids, dates. Pure and total."""

import binascii
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from email.utils import parsedate_tz

from channels.email.parser.charsets import decode
from schemas import limits
from schemas.addresses import wire_domain
from schemas.text import clean_line

BRACKETS = "<> \t\r\n"
_WORD = re.compile(r"=\?([\w.:+-]{0,40})(?:\*[\w-]{0,20})?\?([bBqQ])\?([^?]*(?:\?(?!=)[^?]*)*)\?=")
_Q = re.compile(rb"=([0-9A-Fa-f]{2})")
_ISO = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d")
_ZONE = re.compile(r"(?i)\b(?:GMT|UTC)\s*([+-]\d{1,2}):?(\d\d)?")
_QUOTED_LOCAL = re.compile(r'"[^"]{1,200}"@\S+')
_ID = re.compile(r"<([^<>]{1,990})>")
MAX_FIELD = 100_000
_Word = tuple[str, str, str]
"""(charset, b or q, what stands between the marks)"""


def header(value: str, hint: str | None = None, defects: set[str] | None = None) -> str:
    """A field's value as text: RFC 2047 words decoded, undeclared 8-bit bytes (surrogates) repaired."""
    if not value.isascii():
        noticed: set[str] = set()
        value = decode(value.encode("utf-8", "surrogateescape"), None, hint, noticed)
        if defects is not None and noticed:
            defects.add("undeclared_8bit_header")
    end = value.rfind("?=")
    if end < 0 or "=?" not in value:
        return _open_word(value, defects)
    out: list[str] = []
    pending: list[_Word] = []
    at = 0
    for match in _WORD.finditer(value, 0, end + 2):
        between = value[at : match.start()]
        if between.strip() or not pending:
            out += _flush(pending, defects)
            out.append(between)
        pending.append((match[1].lower(), match[2].lower(), match[3]))
        at = match.end()
    out += _flush(pending, defects)
    out.append(_open_word(value[at:], defects))
    return "".join(out)


def _open_word(value: str, defects: set[str] | None) -> str:
    """An encoded word that was cut before its end is decoded as far as it goes."""
    start = value.rfind("=?")
    if start < 0 or "?=" in value[start + 2 :]:
        return value
    match = _WORD.fullmatch(value[start:].rstrip("?= ") + "?=")
    if match is None or " " in match[3].strip():
        return value
    if defects is not None:
        defects.add("damaged_encoded_word")
    return value[:start] + decode(_word(match[2], match[3], defects), match[1] or None).rstrip("\ufffd")


def _flush(pending: list[_Word], defects: set[str] | None) -> list[str]:
    """Neighbours of one charset are one run of bytes: mailers cut characters in two, and base64 too."""
    out: list[str] = []
    at = 0
    while at < len(pending):
        charset = pending[at][0]
        run = bytearray()
        while at < len(pending) and pending[at][0] == charset:
            _, kind, text = pending[at]
            at += 1
            while kind == "b" and len(text) % 4 and at < len(pending) and pending[at][:2] == (charset, "b"):
                text += pending[at][2]
                at += 1
            run += _word(kind, text, defects)
        out.append(decode(bytes(run), charset or None, None, defects))
    pending.clear()
    return out


def _word(kind: str, text: str, defects: set[str] | None) -> bytes:
    data = text.encode("utf-8", "surrogateescape")
    if kind in "qQ":
        return _Q.sub(lambda m: bytes([int(m[1], 16)]), data.replace(b"_", b" "))
    letters = b"".join(data.split()).rstrip(b"=")
    if len(letters) % 4 == 1:
        letters = letters[:-1]
        if defects is not None:
            defects.add("damaged_encoded_word")
    try:
        return binascii.a2b_base64(letters + b"=" * (-len(letters) % 4))
    except binascii.Error:
        return data


def mailboxes(values: list[str], hint: str | None = None) -> tuple[list[tuple[str, str]], bool]:
    """(name, address) of each mailbox, and whether some were left out. An entry without a usable address has "".

    What stands in angle brackets is the address, whatever the name before it looks like.
    """
    found: list[tuple[str, str]] = []
    for value in values[:20]:
        cut = value[:MAX_FIELD]
        carried = ""
        for entry in _entries(cut):
            if len(found) >= limits.MAIL_ADDRESSES:
                return found, True
            name, raw, angled = _mailbox(entry)
            decoded = name_of(name, hint)
            if not angled and "@" not in raw:
                address = ""
                if "=?" in entry:  # the whole mailbox in one encoded word
                    inner_name, inner, _ = _mailbox(header(entry, hint))
                    decoded, address = name_of(inner_name, hint), address_of(inner)
                if not address:  # a comma in a name without quotes
                    carried = f"{carried}, {decoded or raw}" if carried else decoded or raw
                    continue
            else:
                address = address_of(raw)
            if carried:
                decoded, carried = (f"{name_of(carried, hint)}, {decoded}" if decoded else name_of(carried, hint)), ""
            found.append((decoded, address))
        if carried.strip():
            found.append((name_of(carried, hint), ""))
        if len(value) > MAX_FIELD:
            return found, True
    return found, False


def _entries(value: str) -> list[str]:
    """Cut at commas and semicolons outside of quotes, comments and brackets; group names are left out."""
    out: list[str] = []
    start, depth, quoted, angled, at, size = 0, 0, False, False, 0, len(value)
    while at < size:
        char = value[at]
        if char == "\\" and (quoted or depth):
            at += 1
        elif quoted:
            quoted = char != '"'
        elif char == '"' and not depth:
            # A quote that is never closed is a letter like any other.
            quoted = value.find('"', at + 1) >= 0
        elif char == "(" and not angled:
            depth += 1
        elif char == ")" and depth:
            depth -= 1
        elif depth:
            pass
        elif char == "<":
            angled = True
        elif char == ">":
            angled = False
        elif char == ":" and not angled and "@" not in value[start:at] and "=?" not in value[start:at]:
            start = at + 1  # a group's name
        elif char in ",;" and not angled:
            out.append(value[start:at])
            start = at + 1
        at += 1
    out.append(value[start:])
    return [entry.strip() for entry in out if entry.strip()]


def _mailbox(entry: str) -> tuple[str, str, bool]:
    """(name, address, in brackets?) as they are written."""
    close = entry.rfind(">")
    opened = entry.rfind("<", 0, close if close >= 0 else len(entry))
    if opened >= 0:
        inner = entry[opened + 1 : close if close > opened else len(entry)]
        name = entry[:opened].rstrip("< ").strip()
        name = name or _comment(entry[close + 1 :] if close >= 0 else "")
        return name, inner.rpartition(":")[2] if inner.startswith("@") else inner, True
    comment = _comment(entry)
    bare = re.sub(r"\([^()]*\)", " ", entry).strip() if comment else entry.strip()
    words = bare.split()
    if len(words) > 1 and not _QUOTED_LOCAL.fullmatch(bare):
        with_at = [word for word in words if "@" in word]
        if len(with_at) == 1:
            word = with_at[0]
            return comment or " ".join(w for w in words if w != word), word, False
    return comment, bare, False


def _comment(entry: str) -> str:
    opened, close = entry.find("("), entry.rfind(")")
    return entry[opened + 1 : close].strip() if 0 <= opened < close else ""


def name_of(name: str, hint: str | None = None) -> str:
    name = name.strip()
    if len(name) >= 2 and name[0] == name[-1] == '"':
        name = re.sub(r"\\(.)", r"\1", name[1:-1])
    name = clean_line(header(name, hint)).strip()
    if len(name) >= 2 and name[0] == name[-1] and name[0] in "\"'":
        name = name[1:-1].strip()
    return name[: limits.NAME_CHARS]


def address_of(value: str) -> str:
    """Normalised (lower case, the domain as the DNS knows it); "" for what is no address."""
    address = clean_line(header(value)).strip(BRACKETS).lower()
    address = address.removeprefix("mailto:").strip("'")
    local, at, domain = address.rpartition("@")
    if len(local) > 2 and local[0] == local[-1] == '"':
        local = local[1:-1]
    domain = wire_domain(domain.rstrip("."))
    usable = at and local and domain and not any(c in f"{local}{domain}" for c in ' <>,;:"()[]\\@')
    return f"{local}@{domain}" if usable and len(address) <= limits.ADDRESS_CHARS else ""


def ids(value: str) -> list[str]:
    """Message-IDs without brackets, in order, each once. Ids in the wild have no brackets, spaces or both."""
    value = value[:MAX_FIELD]
    # Some libraries write ids that are longer than a line as encoded words (RFC 2047 §5 forbids it).
    line = header(value) if "=?" in value else clean_line(value)
    found = [re.sub(r"\s+", "", each) for each in _ID.findall(line)]
    if not found:
        found = [word.strip('<>,;"') for word in line.split() if "@" in word or (word[:1] == "<" and len(word) > 2)]
    return [each for each in dict.fromkeys(found) if each and len(each) <= 990]


def instant(value: str) -> datetime | None:
    """A Date field in UTC; None when it says none that exists."""
    text = clean_line(value)[:200]
    if not text:
        return None
    try:
        if _ISO.match(text):
            parsed = datetime.fromisoformat(text.split("(")[0].strip().replace(" +", "+").replace(" -", "-"))
            return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
        text = _ZONE.sub(lambda m: f"{m[1][0]}{int(m[1][1:]):02}{m[2] or '00'}", text)
        found = parsedate_tz(text)
        if found is None:
            return None
        year, month, day, hour, minute, second = found[:6]
        local = datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC)
        return datetime.fromtimestamp(local.timestamp() - (found[9] or 0), UTC)
    except (ValueError, OverflowError, TypeError, IndexError, OSError):
        return None


def untagged(address: str) -> str:
    """`support+abc@shop.example` → `support@shop.example`"""
    local, _, domain = address.rpartition("@")
    return f"{local.partition('+')[0]}@{domain}"


def is_among(address: str, named: Iterable[str]) -> bool:
    """Whether the address is one of those, or in one of those domains or below."""
    address = address.lower()
    domain = address.rpartition("@")[2]
    return bool(address) and any(address == one or domain == one or domain.endswith(f".{one}") for one in named)


def address_of_line(line: str) -> str:
    """The address in a quoted `From:` line, "" when it shows a name only."""
    return next(
        (address for _, address in mailboxes([line.replace("[mailto:", "<").replace("]", ">")])[0] if address), ""
    )
