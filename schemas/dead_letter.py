"""What could not be processed, set aside with its bytes, the reason and a way to replay it."""

from typing import ClassVar, Literal

from pydantic import Base64Bytes, Field

from schemas.base import Instant, Model


class Place(Model):
    """Where the bytes were found: a Kafka coordinate, or an edge."""

    topic: str | None = None
    partition: int | None = None
    offset: int | None = None
    channel: str | None = None
    account: str | None = None


class DeadLetter(Model):
    """Id: that of the interaction where one is known, else `<topic>:<partition>:<offset>` or the raw id."""

    TYPE: ClassVar[str] = "switchboard.dead_letter.recorded.v1"

    id: str
    conversation_id: str
    """The key of the record, so that it stays in its partition; the id again when there is none."""
    interaction_id: str | None = None
    round: int = 1
    reason: Literal["undecodable", "unknown_type", "invalid", "too_large", "unparsable", "refused", "undeliverable"]
    detail: str = ""
    place: Place = Place()
    headers: tuple[tuple[str, Base64Bytes], ...] = ()
    raw: Base64Bytes | None = Field(default=None, repr=False)
    dataref: str | None = None
    media_type: str = "application/octet-stream"
    at: Instant
    traceparent: str | None = None
