"""Call log rows: one CSV line → Contact, or why it is none. Pure.

Columns: call_id, started_at (ISO 8601), caller, callee, direction, disposition, duration_s, notes. `caller` and
`started_at` are required, the others may be missing. Without a call_id the row's digest is the native id.
"""

import csv
import hashlib
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
    """Every row of a file, in order. Never raises. A call that has not happened yet is believed to be now."""
    header: list[str] | None = None
    for number, raw in enumerate(_records(data), start=1):
        if number > limits.CSV_ROWS:
            yield BadRow(number, raw, f"more than {limits.CSV_ROWS} rows in one file")
            return
        if not raw.strip():
            continue
        cells = _cells(raw, delimiter)
        if isinstance(cells, str):
            yield BadRow(number, raw, cells)
        elif header is None:
            header = [clean_line(cell).lower() for cell in cells]
            if missing := [name for name in REQUIRED if name not in header]:
                yield BadRow(number, raw, f"the first line must name the columns; missing: {', '.join(missing)}")
                return
        else:
            yield _row(number, raw, dict(zip(header, cells, strict=False)), account, region, queue, now)


def _records(data: bytes) -> Iterator[bytes]:
    """Lines, where a quoted field may span several. An unclosed quote ends at the row limit, not the file's end."""
    if data.startswith(b"\xef\xbb\xbf"):
        data = data[3:]
    pending = b""
    for line in data.splitlines(keepends=True):
        pending += line
        if pending.count(b'"') % 2 and len(pending) <= limits.CSV_ROW_BYTES:
            continue
        yield pending.rstrip(b"\r\n")
        pending = b""
    if pending:
        yield pending.rstrip(b"\r\n")


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
        rows = list(csv.reader(text.splitlines(keepends=True), delimiter=delimiter, strict=True))
    except csv.Error as error:
        return f"not CSV: {error}"
    return rows[0] if len(rows) == 1 else f"one row expected, {len(rows)} found"


def _row(
    line: int, raw: bytes, cells: dict[str, str], account: str, region: str, queue: str | None, now: datetime
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
