"""Call log rows: one CSV line → Contact, or why it is none. Pure.

Columns: call_id, started_at (ISO 8601), caller, callee, direction, disposition, duration_s, notes. `caller` and
`started_at` are required, the others may be missing. Without a call_id the row's digest is the native id.
"""

import csv
import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import phonenumbers
from pydantic import ValidationError

from channels.language import language_of
from schemas import limits
from schemas.interaction import Contact, PhoneLogContent, Sender
from schemas.text import clean_line, clean_text

COLUMNS = ("call_id", "started_at", "caller", "callee", "direction", "disposition", "duration_s", "notes")
REQUIRED = ("started_at", "caller")
_BOM, _QUOTE = b"\xef\xbb\xbf", b'"'
_RESCANS = 100
"""So many quotes that are never closed cost a second look each; a file with more is hostile."""


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that gives no contact. `raw` is the line as it stands in the file."""

    line: int
    raw: bytes
    detail: str


@dataclass(frozen=True, slots=True)
class GoodRow:
    line: int
    raw: bytes
    contact: Contact


def parse_rows(
    data: bytes, *, account: str, region: str, delimiter: str, queue: str | None, now: datetime
) -> Iterator[GoodRow | BadRow]:
    """Every row of a file, in order; every byte that is not blank is in one of them. Never raises. A call that has
    not happened yet is believed to be now."""
    header: list[str] | None = None
    start, count = 0, 0
    for line, record in _records(data, ord(delimiter)):
        start += len(record)
        raw = record.rstrip(b"\r\n")
        if not raw.strip():
            continue
        count += 1
        if count > limits.CSV_ROWS:
            rest = data[len(data) - len(data.removeprefix(_BOM)) + start - len(record) :]
            yield BadRow(line, rest, f"more than {limits.CSV_ROWS} rows in one file: what follows was not read")
            return
        cells = _cells(raw, delimiter)
        if header is None:
            names = [clean_line(cell).lower() for cell in cells] if isinstance(cells, list) else []
            if missing := [name for name in REQUIRED if name not in names]:
                why = f"the first line must name the columns; missing: {', '.join(missing)}"
                yield BadRow(line, data, f"{cells}; {why}" if isinstance(cells, str) else why)
                return
            header = names
        elif isinstance(cells, str):
            yield BadRow(line, raw, cells)
        else:
            flags = ("partial",) if len(cells) > len(header) else ()
            yield _row(line, raw, dict(zip(header, cells, strict=False)), flags, account, region, queue, now)


def _records(data: bytes, delimiter: int) -> Iterator[tuple[int, bytes]]:
    """(line number, record with its line end). A quoted field may span lines; one that is never closed spoils only
    the line where it begins."""
    lines = data.removeprefix(_BOM).splitlines(keepends=True)
    at = rescans = 0
    while at < len(lines):
        end, size, quoted = at, 0, False
        while end == at or (quoted and end < len(lines) and size <= limits.CSV_ROW_BYTES):
            quoted = _quoted_after(lines[end], delimiter, quoted)
            size += len(lines[end])
            end += 1
        if quoted and end > at + 1 and rescans < _RESCANS:
            rescans += 1
            end = at + 1
        yield at + 1, b"".join(lines[at:end])
        at = end


def _quoted_after(line: bytes, delimiter: int, quoted: bool) -> bool:
    """Whether a quoted field is still open at the line's end. A quote inside an unquoted field is a character."""
    if _QUOTE not in line:
        return quoted
    begins, closed = not quoted, False
    for byte in line:
        if byte == 0x22:
            # The quote after a closing one is the second of a pair, which stands for a quote within the field.
            quoted, closed = (False, True) if quoted else (begins or closed, False)
            begins = False
        else:
            begins, closed = not quoted and byte == delimiter, False
    return quoted


def _cells(raw: bytes, delimiter: str) -> list[str] | str:
    if len(raw) > limits.CSV_ROW_BYTES:
        return f"longer than {limits.CSV_ROW_BYTES} bytes"
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        return f"not UTF-8 at byte {error.start}"
    if "\x00" in text:
        return "contains a NUL"
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except csv.Error as error:
        return f"not CSV: {error}"
    return rows[0] if len(rows) == 1 else f"one row expected, {len(rows)} found"


def _row(
    line: int,
    raw: bytes,
    cells: dict[str, str],
    flags: tuple[str, ...],
    account: str,
    region: str,
    queue: str | None,
    now: datetime,
) -> GoodRow | BadRow:
    values = {name: clean_text(cells.get(name) or "").strip() for name in COLUMNS}
    try:
        started = datetime.fromisoformat(values["started_at"])
    except ValueError:
        return BadRow(line, raw, f"started_at is no ISO 8601 time: {values['started_at'][:40]!r}")
    started = started if started.tzinfo else started.replace(tzinfo=UTC)
    caller = e164(values["caller"], region)
    if caller is None:
        return BadRow(line, raw, f"caller is no telephone number: {values['caller'][:40]!r}")
    direction = "outbound" if values["direction"].lower().startswith("out") else "inbound"
    try:
        duration = max(0, int(float(values["duration_s"] or 0)))
        contact = Contact(
            account=account,
            native_id=values["call_id"] or f"digest:{hashlib.sha256(raw).hexdigest()}",
            received_at=min(started, now),
            queue=queue,
            # Anybody can send any number: a caller id proves nothing.
            sender=Sender(kind="phone", address=caller, verdict="unknown"),
            subject=clean_line(f"Call {values['disposition']}".strip())[:200],
            text=values["notes"][: limits.TEXT_CHARS],
            language=language_of(values["notes"]),
            flags=flags,
            content=PhoneLogContent(
                call_id=values["call_id"],
                caller=caller,
                callee=e164(values["callee"], region) or values["callee"],
                direction=direction,
                disposition=values["disposition"],
                duration_s=duration,
                notes=values["notes"],
            ),
        )
    except (ValueError, OverflowError, ValidationError) as error:
        words = str(error).splitlines()[0]
        return BadRow(line, raw, f"the row makes no call: {words}")
    return GoodRow(line, raw, contact)


def e164(number: str, region: str) -> str | None:
    """+4930123456, or None for what is no telephone number."""
    try:
        parsed = phonenumbers.parse(number[:64], region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(parsed):
        return None
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
