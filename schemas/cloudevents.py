"""CloudEvents 1.0, Kafka protocol binding, binary content mode.

Attributes travel as `ce_*` headers in UTF-8, the data's media type as `content-type`, the value is the data as it
is. The trace context of this hop travels as a plain `traceparent` header (W3C).
Source: CloudEvents 1.0.2, Kafka Protocol Binding §3.2.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

SPEC_VERSION = "1.0"
SOURCE = "/switchboard"
JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Envelope:
    id: str
    type: str
    source: str
    content_type: str


def attributes(
    *,
    id_: str,
    type_: str,
    time: datetime | None = None,
    subject: str | None = None,
    traceparent: str | None = None,
    dataref: str | None = None,
    content_type: str = JSON,
) -> tuple[tuple[str, bytes], ...]:
    """The headers of one event."""
    headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", id_.encode()),
        ("ce_source", SOURCE.encode()),
        ("ce_type", type_.encode()),
        ("content-type", content_type.encode()),
    ]
    if time is not None:
        headers.append(("ce_time", time_text(time).encode()))
    if subject is not None:
        headers.append(("ce_subject", subject.encode()))
    if dataref is not None:
        headers.append(("ce_dataref", dataref.encode()))
    if traceparent is not None:
        headers.append(("traceparent", traceparent.encode()))
    return tuple(headers)


def time_text(moment: datetime) -> str:
    """RFC 3339, as `ce_time` wants it."""
    return moment.isoformat().replace("+00:00", "Z")


def parse(headers: Iterable[tuple[str, bytes]]) -> Envelope | str:
    """Headers → envelope, or in words what is missing. Never raises."""
    found: dict[str, str] = {}
    for name, value in headers:
        try:
            found[name.lower()] = value.decode("utf-8")
        except (UnicodeDecodeError, AttributeError):
            return f"header {name!r} is no UTF-8"
    missing = [a for a in ("ce_specversion", "ce_id", "ce_source", "ce_type") if not found.get(a)]
    if missing:
        return f"no CloudEvents record: {', '.join(missing)} missing"
    if found["ce_specversion"] != SPEC_VERSION:
        return f"CloudEvents version {found['ce_specversion']!r}; this reads {SPEC_VERSION}"
    content_type = found.get("content-type", JSON)
    if content_type.split(";")[0].strip().lower() != JSON:
        return f"content-type {content_type!r}; this reads {JSON}"
    return Envelope(found["ce_id"], found["ce_type"], found["ce_source"], content_type)
