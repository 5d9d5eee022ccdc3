"""IMAP's words, to and from (RFC 3501). Pure.

Lines are aioimaplib's: untagged ones without their "* ", literals as bytearrays. Its lines lose every further "* ",
so only what cannot contain one is asked for.
"""

import base64
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

_MONTHS = {m: n for n, m in enumerate(b"jan feb mar apr may jun jul aug sep oct nov dec".split(), start=1)}
_DATE = re.compile(rb"\s*(\d{1,2})-([a-z]{3})-(\d{4}) (\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)", re.IGNORECASE)
_LISTED = re.compile(rb"\d+ FETCH \(", re.IGNORECASE)
_UID = re.compile(rb"[( ]UID (\d+)", re.IGNORECASE)
_SIZE = re.compile(rb"[( ]RFC822\.SIZE (\d+)", re.IGNORECASE)
_INTERNALDATE = re.compile(rb'[( ]INTERNALDATE "([^"]*)"', re.IGNORECASE)
_CODE = re.compile(rb"OK \[(UIDVALIDITY|UIDNEXT) (\d+)\]", re.IGNORECASE)
_EXISTS = re.compile(rb"(\d+) EXISTS", re.IGNORECASE)
_QUOTED_BODY = re.compile(rb'BODY\[[^\]]*\](?:<\d+>)? "((?:[^"\\]|\\.)*)"', re.IGNORECASE)

Line = bytes | bytearray


@dataclass(frozen=True, slots=True)
class Selected:
    """A folder as it stood when it was opened. `uidnext`: the lowest UID that a new mail can get; 0 if unknown."""

    validity: int
    uidnext: int
    exists: int


@dataclass(frozen=True, slots=True)
class Listed:
    """What is known of a mail before its text is fetched. `size` in bytes; `arrived` is INTERNALDATE."""

    uid: int
    size: int
    arrived: datetime | None


def mailbox_name(name: str) -> str:
    """A folder's name, in modified UTF-7 (RFC 3501 §5.1.3) and quoted."""
    out: list[str] = []
    foreign: list[str] = []

    def flush() -> None:
        if foreign:
            coded = base64.b64encode("".join(foreign).encode("utf-16-be")).decode().rstrip("=").replace("/", ",")
            out.append(f"&{coded}-")
            foreign.clear()

    for char in name:
        if " " <= char <= "~":
            flush()
            out.append("&-" if char == "&" else char)
        else:
            foreign.append(char)
    flush()
    return quoted("".join(out))


def quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def uid_set(uids: Iterable[int]) -> str:
    """`1:4,7` for 1, 2, 3, 4, 7."""
    ranges: list[list[int]] = []
    for uid in sorted(set(uids)):
        if ranges and uid == ranges[-1][1] + 1:
            ranges[-1][1] = uid
        else:
            ranges.append([uid, uid])
    return ",".join(str(a) if a == b else f"{a}:{b}" for a, b in ranges)


def selected(lines: Sequence[Line]) -> Selected | None:
    """None if the server does not say which UIDs these are: then nothing can be remembered of them."""
    codes: dict[bytes, int] = {}
    exists = 0
    for line in lines:
        if code := _CODE.match(line):
            codes[code[1].upper()] = int(code[2])
        elif found := _EXISTS.fullmatch(line):
            exists = int(found[1])
    if not codes.get(b"UIDVALIDITY"):
        return None
    return Selected(codes[b"UIDVALIDITY"], codes.get(b"UIDNEXT", 0), exists)


def found(lines: Sequence[Line]) -> list[int]:
    """The UIDs of a SEARCH, ascending. Its last line is the server's word that it is done."""
    return sorted({int(word) for line in lines[:-1] for word in bytes(line).split() if word.isdigit()})


def listed(lines: Sequence[Line]) -> dict[int, Listed]:
    """UID → what FETCH (UID RFC822.SIZE INTERNALDATE) said. Answers that nobody asked for are left out."""
    out: dict[int, Listed] = {}
    for line in lines:
        if isinstance(line, bytearray) or not _LISTED.match(line):
            continue
        uid, size = _UID.search(line), _SIZE.search(line)
        if uid and size:
            arrived = _INTERNALDATE.search(line)
            out[int(uid[1])] = Listed(int(uid[1]), int(size[1]), moment(arrived[1]) if arrived else None)
    return out


def body(lines: Sequence[Line]) -> bytes | None:
    """The text that a FETCH of one mail gave; None when there is no such mail any more."""
    for line in lines:
        if isinstance(line, bytearray):
            return bytes(line)
        if match := _QUOTED_BODY.search(line):
            return re.sub(rb"\\(.)", rb"\1", match[1])
    return None


def moment(text: bytes) -> datetime | None:
    """INTERNALDATE in UTC; None for what is none."""
    match = _DATE.fullmatch(text.strip())
    month = _MONTHS.get(match[2].lower()) if match else None
    if match is None or month is None:
        return None
    day, year, hour, minute, second = (int(match[n]) for n in (1, 3, 4, 5, 6))
    offset = timedelta(hours=int(match[8]), minutes=int(match[9])) * (-1 if match[7] == b"-" else 1)
    try:
        return datetime(year, month, day, hour, minute, second, tzinfo=timezone(offset)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
