"""What goes over the bus."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

Headers = tuple[tuple[str, bytes], ...]
Place = tuple[str, int]
"""Topic and partition."""


class Record(NamedTuple):
    """One record as read, its bytes untouched. `timestamp` is in milliseconds since 1970, UTC."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp: int


class Outgoing(NamedTuple):
    """One record to write. Without a partition the key decides (murmur2)."""

    topic: str
    key: str
    value: bytes
    headers: Headers = ()
    partition: int | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """What one read gave: records in order of offset, per partition. `epochs` and `life` are the source's own marks."""

    records: Mapping[Place, tuple[Record, ...]]
    epochs: Mapping[Place, int] = field(default_factory=dict, repr=False)
    life: int = field(default=0, repr=False)

    def __iter__(self) -> Iterator[Record]:
        for records in self.records.values():
            yield from records

    def __len__(self) -> int:
        return sum(map(len, self.records.values()))

    def then(self, later: "Batch") -> "Batch":
        """What to commit once both are done with. What a former life of the broker gave is committed nowhere."""
        if later.life != self.life:
            return later
        return Batch({**self.records, **later.records}, {**self.epochs, **later.epochs}, later.life)


class Confirmed(NamedTuple):
    """The broker has it, there."""

    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Refused:
    """It will never be taken: too large, not allowed. A retry cannot help."""

    reason: str


@dataclass(frozen=True, slots=True)
class Failed:
    """Not confirmed, for now. It may have been written all the same: whoever reads must know repeats."""

    reason: str


Outcome = Confirmed | Refused | Failed
