"""A calendar part's method, summary and start (RFC 5545, 5546)."""

from dataclasses import dataclass
from datetime import UTC, date, datetime

from channels.email.parser.charsets import decode
from schemas.text import clean_line

MAX_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Invitation:
    method: str
    """REQUEST, REPLY, CANCEL, …; "" when it names none."""
    summary: str
    start: str | None
    """RFC 3339 in UTC; a date alone for all-day events; local time without a zone as it stands."""


def invitation(method: str, data: bytes) -> Invitation | None:
    """None for what is no calendar."""
    if b"BEGIN:VCALENDAR" not in data[:2000].upper():
        return None
    from icalendar import Calendar  # few mails need it

    text = decode(data[:MAX_BYTES], "utf-8")
    try:
        found = Calendar.from_ical(text)
        event = next((part for part in found.walk() if part.name in ("VEVENT", "VTODO")), None)
        said = str(found.get("METHOD") or method)
        if event is None:
            return Invitation(clean_line(said).upper(), "", None)
        start = event.get("DTSTART")
        return Invitation(
            clean_line(said).upper(),
            clean_line(str(event.get("SUMMARY") or ""))[:998],
            _written(getattr(start, "dt", None)),
        )
    except Exception:  # not well formed: its plainest lines are read all the same
        return _by_lines(text, method)


def _written(start: object) -> str | None:
    if isinstance(start, datetime):
        if start.tzinfo is None:
            return start.isoformat()
        return start.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return start.isoformat() if isinstance(start, date) else None


def _by_lines(text: str, method: str) -> Invitation:
    values: dict[str, str] = {}
    inside = False
    for line in text.replace("\r\n", "\n").replace("\n ", "").replace("\n\t", "").split("\n"):
        name, _, value = line.partition(":")
        name = name.split(";")[0].strip().upper()
        if name == "BEGIN":
            inside = value.strip().upper() in ("VEVENT", "VTODO")
        elif name == "METHOD" or (inside and name in ("SUMMARY", "DTSTART")):
            values.setdefault(name, value.strip())
    start = None
    for pattern in ("%Y%m%dT%H%M%SZ", "%Y%m%dT%H%M%S", "%Y%m%d"):
        try:
            found = datetime.strptime(values.get("DTSTART", ""), pattern)  # noqa: DTZ007 - the zone is in the pattern
        except ValueError:
            continue
        start = (
            found.date().isoformat()
            if pattern == "%Y%m%d"
            else found.isoformat() + ("Z" if pattern.endswith("Z") else "")
        )
        break
    summary = values.get("SUMMARY", "").replace("\\,", ",").replace("\\;", ";").replace("\\n", " ")
    return Invitation((values.get("METHOD") or method).upper(), clean_line(summary)[:998], start)
