"""The quick way to read interactions and decisions and to write decisions: structs, where pydantic costs too much.

Reading takes the short way for bytes that are as our own encoder writes them: known CloudEvents headers, a document
that the struct takes, and no text that `Line`, `Text` or `Instant` would still change. All others go by way of
pydantic, which so has the last word on what is wrong. A property test holds both ways to the same result on all bytes.
"""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec

from schemas import cloudevents, structs
from schemas import decision as decision_
from schemas import interaction as interaction_
from schemas.base import Instant
from schemas.codec import Invalid, decode
from schemas.events import Event
from schemas.leaves import leaves_of
from schemas.limits import RECORD_BYTES
from schemas.text import Line

Headers = tuple[tuple[str, bytes], ...]

_SPEC, _SOURCE, _JSON = (text.encode() for text in (cloudevents.SPEC_VERSION, cloudevents.SOURCE, cloudevents.JSON))
_DECISION = decision_.Decision.TYPE.encode()
_KNOWN = frozenset(f"ce_{name}" for name in ("specversion", "id", "source", "type", "time", "subject", "dataref")) | {
    "content-type",
    "traceparent",
}
_CHANGED = re.compile(rb"\\[urbf]")
"""What `Text` would still change, as it stands in JSON (raw control characters are no JSON), but for DEL."""
_FINER = re.compile(rb"\.\d{7}")
"""A moment finer than a microsecond: one reader rounds it, the other cuts it."""

_DIGITS, _BRACKETS = 4000, 190
"""Of one number, and of the document: what nests as deeply as pydantic's reader minds has more."""
_LONG_NUMBER = re.compile(rb"\d{%d}" % _DIGITS)

_encode = msgspec.json.Encoder(enc_hook=lambda value: value.model_dump(mode="json")).encode  # models may be in it


class _Reader:
    """The short way to read one type of event."""

    def __init__(self, model: type[Event]) -> None:
        self._type = model.TYPE.encode()
        self._decode = msgspec.json.Decoder(structs.struct_of(model)).decode
        self._lines, self._instants = leaves_of(model, Line), leaves_of(model, Instant)

    def read(self, headers: Headers, value: bytes | None) -> Any | None:
        """The struct; None for what has to go the long way."""
        if value is None or len(value) > RECORD_BYTES or not _are_plain(headers, self._type):
            return None
        if b"\x7f" in value or _CHANGED.search(value) or _FINER.search(value):
            return None
        # One reader passes over what the other one counts, where nobody asks for it.
        if len(value) > _DIGITS and _LONG_NUMBER.search(value):
            return None
        if value.count(b"[") + value.count(b"{") > _BRACKETS:
            return None
        try:
            if not value.isascii():
                value.decode()  # the struct does not look at what it skips
            found = self._decode(value)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        lines = self._lines(found)
        # A string that has nothing to strip is given back as it is, so most of this compares addresses.
        if not "".join(lines).isprintable() or list(map(str.strip, lines)) != lines:
            return None
        for at in self._instants(found):
            if at.tzinfo is not UTC:
                return None
        return found


_interactions, _decisions = _Reader(interaction_.Interaction), _Reader(decision_.Decision)


def decode_interaction(headers: Iterable[tuple[str, bytes]], value: bytes | None) -> structs.Interaction | Invalid:
    """As `codec.decode`, for the interactions topic. Total: never raises."""
    headers = tuple(headers)
    found: structs.Interaction | None = _interactions.read(headers, value)
    if found is not None:
        return found
    event = decode(headers, value)
    if isinstance(event, Invalid):
        return event
    if not isinstance(event, interaction_.Interaction):
        return Invalid("invalid", f"a {event.TYPE} does not belong on this topic")
    return as_struct(event)


def decode_applicable(headers: Iterable[tuple[str, bytes]], value: bytes | None) -> Event | structs.Decision | Invalid:
    """As `codec.decode`, but a decision is a struct. Total: never raises."""
    headers = tuple(headers)
    found: structs.Decision | None = _decisions.read(headers, value)
    if found is not None:
        return found
    event = decode(headers, value)
    if isinstance(event, decision_.Decision):
        return msgspec.convert(event.model_dump(), structs.Decision)
    return event


def as_struct(interaction: interaction_.Interaction) -> structs.Interaction:
    """The struct with the same values."""
    return msgspec.convert(interaction.model_dump(), structs.Interaction)


def as_model(decision: structs.Decision) -> decision_.Decision:
    """The decision with pydantic's methods, for whoever prints or keeps it."""
    return decision_.Decision.model_validate_json(_encode(decision))


def body_of(decision: structs.Decision) -> bytes:
    """The decision as JSON: what `model_dump_json` makes of the model."""
    return _encode(decision)


def encode_decision(decision: structs.Decision) -> tuple[str, Headers, bytes]:
    """Key, headers and value of its record: what `codec.encode` makes of the model."""
    headers = (
        ("ce_specversion", _SPEC),
        ("ce_id", decision.id.encode()),
        ("ce_source", _SOURCE),
        ("ce_type", _DECISION),
        ("content-type", _JSON),
        ("ce_time", _time(decision.decided_at)),
        ("ce_subject", decision.conversation_id.encode()),
    )
    if decision.traceparent is not None:
        headers = (*headers, ("traceparent", decision.traceparent.encode()))  # type: ignore[assignment]
    return decision.conversation_id, headers, _encode(decision)


@lru_cache(maxsize=64)
def _time(moment: datetime) -> bytes:
    """A batch is decided at one moment."""
    return cloudevents.time_text(moment).encode()


def _are_plain(headers: Headers, type_: bytes) -> bool:
    found = dict(headers)
    try:
        return (
            found["ce_type"] == type_
            and found["ce_specversion"] == _SPEC
            and found["content-type"] == _JSON
            and bool(found["ce_id"] and found["ce_source"])
            and len(found) == len(headers)
            and found.keys() <= _KNOWN
            and b"".join(found.values()).isascii()
        )
    except (KeyError, TypeError):  # missing; null
        return False
