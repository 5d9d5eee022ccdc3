"""Bytes ↔ events. Decoding never raises: what cannot be read becomes `Invalid`, with the reason."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import orjson
from pydantic import ValidationError

from schemas import cloudevents
from schemas.events import EVENTS, Event, event_id, event_key
from schemas.limits import JSON_DEPTH, RECORD_BYTES

Headers = Iterable[tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class Invalid:
    """Why bytes are no event. `reason` is one of the dead letter reasons."""

    reason: Literal["undecodable", "unknown_type", "invalid", "too_large"]
    detail: str


@dataclass(frozen=True, slots=True)
class Encoded:
    """A Kafka record's parts: CloudEvents 1.0 binary mode."""

    key: str
    headers: tuple[tuple[str, bytes], ...]
    value: bytes


def encode(event: Event) -> Encoded:
    """Event → record parts. The value is the data as JSON; the attributes travel as `ce_*` headers."""
    value = event.model_dump_json(exclude_defaults=False).encode()
    when = getattr(event, "accepted_at", None) or getattr(event, "decided_at", None)
    when = when or getattr(event, "created_at", None) or getattr(event, "at", None)
    headers = cloudevents.attributes(
        id_=event_id(event),
        type_=event.TYPE,
        time=when,
        subject=event_key(event),
        traceparent=event.traceparent,
    )
    return Encoded(event_key(event), headers, value)


def decode(headers: Headers, value: bytes | None) -> Event | Invalid:
    """Record parts → event. Total: any bytes and any headers give an Event or an Invalid."""
    if value is None:
        return Invalid("undecodable", "the record has no value")
    if len(value) > RECORD_BYTES:
        return Invalid("too_large", f"{len(value)} bytes; the limit is {RECORD_BYTES}")
    envelope = cloudevents.parse(headers)
    if isinstance(envelope, str):
        return Invalid("undecodable", envelope)
    model = EVENTS.get(envelope.type)
    if model is None:
        return Invalid("unknown_type", f"no event of type {envelope.type!r} is known here")
    try:
        return model.model_validate_json(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the document"
        kind: Literal["undecodable", "invalid"] = "undecodable" if first["type"] == "json_invalid" else "invalid"
        return Invalid(kind, f"{place}: {first['msg']} ({error.error_count()} mistakes)")
    except (ValueError, RecursionError, TypeError) as error:
        return Invalid("undecodable", f"{type(error).__name__}: {error}")


def loads_strict(data: bytes, *, limit: int = RECORD_BYTES) -> object | Invalid:
    """JSON from outside, under limits: size, depth; no NaN, no lone surrogates (orjson refuses both)."""
    if len(data) > limit:
        return Invalid("too_large", f"{len(data)} bytes; the limit is {limit}")
    if too_deep(data):
        return Invalid("invalid", f"nested deeper than {JSON_DEPTH} levels")
    try:
        value: object = orjson.loads(data)
    except (orjson.JSONDecodeError, RecursionError) as error:
        return Invalid("undecodable", f"not JSON: {error}")
    return value


def too_deep(data: bytes, depth: int = JSON_DEPTH) -> bool:
    """True if brackets outside of strings nest deeper than `depth`. Linear in the length."""
    if data.count(b"[") + data.count(b"{") <= depth:
        return False
    level, in_string, escaped = 0, False, False
    for byte in data:
        if in_string:
            if escaped:
                escaped = False
            elif byte == 0x5C:
                escaped = True
            elif byte == 0x22:
                in_string = False
        elif byte == 0x22:
            in_string = True
        elif byte in (0x5B, 0x7B):
            level += 1
            if level > depth:
                return True
        elif byte in (0x5D, 0x7D):
            level -= 1
    return False
