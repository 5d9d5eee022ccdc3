"""A row of the outbox, as store and relay hand it to each other."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """One record to publish. `position` is dense per key and topic; `id` grows."""

    id: int
    topic: str
    key: str
    shard: int
    position: int
    event_id: str
    headers: tuple[tuple[str, bytes], ...]
    value: bytes
