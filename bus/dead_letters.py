"""Setting a record aside: its bytes, headers, reason and place, as a record for the dead-letters topic."""

import base64
import hashlib
from datetime import datetime
from typing import Literal

from bus.records import Outgoing, Record
from bus.topics import DEAD_LETTERS, INTERACTIONS
from schemas import cloudevents
from schemas.codec import encode
from schemas.dead_letter import DeadLetter, Place
from schemas.limits import INLINE_BYTES

KEY_CHARS = 500

Reason = Literal["undecodable", "unknown_type", "invalid", "too_large", "unparsable", "refused", "undeliverable"]


def needs_blob(record: Record) -> bool:
    """True if the bytes are too many to travel inside a dead letter: store them and pass their `dataref`."""
    return len(record.value or b"") > INLINE_BYTES


def dead_letter(
    record: Record, reason: Reason, detail: str, *, at: datetime, dataref: str | None = None, round_: int = 1
) -> DeadLetter:
    """What is known about a record that could not be processed. Works for any bytes at all.

    With `dataref` the value stays out; without it the value must fit (`needs_blob`).
    """
    assert dataref is not None or not needs_blob(record), "store the bytes first"
    place, digest = _identity(record)
    envelope = cloudevents.parse(record.headers)
    interaction = None
    if record.topic == INTERACTIONS and not isinstance(envelope, str) and _is_plain(envelope.id):
        interaction = envelope.id
    return DeadLetter(
        id=f"{interaction}:{digest}" if interaction else place,
        conversation_id=_text(record.key) or interaction or place,
        interaction_id=interaction,
        round=round_,
        reason=reason,
        detail=detail.replace("\0", "\ufffd"),
        place=Place(topic=record.topic, partition=record.partition, offset=record.offset),
        headers=tuple((name, _base64(value)) for name, value in record.headers),
        raw=None if dataref is not None or record.value is None else _base64(record.value),
        dataref=dataref,
        at=at,
    )


def whole_letter(record: Record, reason: Reason, detail: str, *, at: datetime) -> DeadLetter:
    """The dead letter with its bytes in it, whatever their size: for a row of the store, not for the topic."""
    letter = dead_letter(record, reason, detail, at=at, dataref="beside")
    return letter.model_copy(update={"raw": record.value, "dataref": None})


def bare_letter(record: Record, *, at: datetime) -> DeadLetter:
    """The dead letter of a record whose own one cannot be written: where it was, and its bytes."""
    place, _ = _identity(record)
    return DeadLetter.model_construct(
        id=place,
        conversation_id=place,
        interaction_id=None,
        round=1,
        reason="invalid",
        detail="neither the record nor its headers could be kept as they are; the log has the reason",
        place=Place(topic=record.topic, partition=record.partition, offset=record.offset),
        headers=(),
        raw=record.value,
        dataref=None,
        media_type="application/octet-stream",
        at=at,
    )


def outgoing(letter: DeadLetter) -> Outgoing:
    """The record that carries a dead letter."""
    encoded = encode(letter)
    return Outgoing(DEAD_LETTERS, encoded.key, encoded.value, encoded.headers)


def _identity(record: Record) -> tuple[str, str]:
    """(place, digest). With a digest of the bytes: a broker that came back empty counts its offsets from 0 again."""
    digest = hashlib.sha256(repr(record.headers).encode() + (record.value or b"")).hexdigest()[:16]
    return f"{record.topic}:{record.partition}:{record.offset}:{digest}", digest


def _is_plain(text: str) -> bool:
    """Whether any store takes it as a key: PostgreSQL knows no NUL, and no keys of more than 2,700 bytes."""
    return "\0" not in text and len(text) <= KEY_CHARS


def _text(key: bytes | None) -> str:
    """The key as text, or nothing: another spelling of the bytes would land in another partition."""
    try:
        text = (key or b"").decode("utf-8")
    except UnicodeDecodeError:
        return ""
    return text if _is_plain(text) else ""


def _base64(value: bytes | None) -> bytes:
    """The field takes base64 and holds the bytes. Kafka allows a header without a value."""
    return base64.b64encode(value or b"")
