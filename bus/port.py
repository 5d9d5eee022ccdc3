"""The bus as the rest of the house sees it. Kafka and the in-memory bus keep the same promises."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from bus.records import Batch, Outcome, Outgoing, Place


class Source(Protocol):
    """Reads topics as one member of a group. Belongs to one task; its calls never overlap.

    At least once: what was not committed is read again, by this member or by another one.
    """

    @property
    def assignment(self) -> frozenset[Place]:
        """The partitions that are this member's now."""
        ...

    async def start(self) -> None:
        """Join the group. Raises BrokerUnavailable."""
        ...

    async def read(self, max_records: int, timeout: float) -> Batch:
        """At most `max_records` new records; after `timeout` seconds an empty batch.

        Goes on behind what the last read gave, committed or not. Raises BrokerUnavailable.
        """
        ...

    async def commit(self, batch: Batch) -> frozenset[Place]:
        """Note that everything up to the end of `batch` is done with.

        Gives the partitions noted. The others were taken away or sought back since: somebody reads them
        again. Batches are committed in the order in which they were read. Raises BrokerUnavailable; the
        batch may then be read again.
        """
        ...

    async def seek_back(self, batch: Batch) -> None:
        """Read `batch` again, and all that came after it. Batches read before this call can no more be
        committed for these partitions."""
        ...

    def pause(self, places: Iterable[Place]) -> None:
        """Leave these partitions out of reads, and stay a member. A rebalance ends the pause."""
        ...

    def resume(self, places: Iterable[Place]) -> None: ...

    async def close(self) -> None:
        """Leave the group. Never raises, never hangs. Uncommitted records go to the other members."""
        ...


class Sink(Protocol):
    """Writes records. Bound to one broker address for its life."""

    async def write(self, records: Sequence[Outgoing]) -> list[Outcome]:
        """Write all; one outcome per record, in the same order. Returns when each outcome is known.

        Within one call records of one key may overtake each other if one fails: whoever needs their order
        puts them into different calls. Calls may overlap. Never raises for a broker's trouble.
        """
        ...

    async def close(self) -> None:
        """Let go. Calls in hand come back soon, with Failed. Never raises, never hangs."""
        ...
