"""What was delivered and what of it may be committed: one span for each fetched batch of one partition.

The rule that the offsets hang on: an offset is committed only when every record below it, delivered since the partition
became ours, is done with. A partition that was lost, or was sought, begins a new epoch; what is acknowledged late, out
of an older epoch, counts for nothing, because the same records have been or will be delivered again.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from bus.records import Place


class HasOffset(Protocol):
    @property
    def offset(self) -> int: ...


R = TypeVar("R", bound=HasOffset)


@dataclass(slots=True, eq=False)
class Span(Generic[R]):
    """Consecutive records of one partition, by offset. `epoch`: which life of the partition delivered them."""

    place: Place
    epoch: int
    records: Sequence[R] = field(repr=False)
    done: bool = False
    """Set by whoever did the work. Without it an acknowledgement counts for nothing: Faust acknowledges by itself what
    it skips in a rebalance."""
    acked: bool = False

    @property
    def first(self) -> int:
        return self.records[0].offset

    @property
    def last(self) -> int:
        return self.records[-1].offset


class Spans(Generic[R]):
    """The spans of all partitions that one consumer holds. Pure bookkeeping; belongs to one event loop."""

    def __init__(self) -> None:
        self._epochs: dict[Place, int] = {}
        self._open: dict[Place, deque[Span[R]]] = {}
        self.in_flight = 0
        """How many spans of current epochs are delivered and not acknowledged."""
        self.records_in_flight = 0

    def deliver(self, place: Place, records: Sequence[R]) -> Span[R]:
        """A new span of the current epoch; `records` follow all that was delivered in it before."""
        spans = self._open.setdefault(place, deque())
        span = Span(place, self._epochs.setdefault(place, 0), records)
        if spans and span.first <= spans[-1].last:
            raise ValueError(f"{place}: {span.first} was delivered before in this epoch")
        spans.append(span)
        self.in_flight += 1
        self.records_in_flight += len(records)
        return span

    def is_current(self, span: Span[R]) -> bool:
        """False if the partition was lost or sought since: whatever it led to, somebody does it again."""
        return self._epochs.get(span.place) == span.epoch

    def ack(self, span: Span[R]) -> bool:
        """False, and nothing happens, for one that is not done, is of an older epoch or was acknowledged before."""
        if span.acked or not span.done or not self.is_current(span):
            return False
        span.acked = True
        self.in_flight -= 1
        self.records_in_flight -= len(span.records)
        return True

    def committable(self, place: Place) -> int | None:
        """The offset to commit (that of the next record to read) if it has moved since this was asked last."""
        spans, offset = self._open.get(place), None
        while spans and spans[0].acked:
            offset = spans.popleft().last + 1
        return offset

    def places(self) -> Iterator[Place]:
        """Partitions with open spans."""
        return iter([place for place, spans in self._open.items() if spans])

    def forget(self, places: Iterable[Place]) -> None:
        """These partitions were lost, gained or sought: a new epoch begins, and nothing is open in it."""
        for place in places:
            self._epochs[place] = self._epochs.get(place, 0) + 1
            for span in self._open.pop(place, ()):
                if not span.acked:
                    self.in_flight -= 1
                    self.records_in_flight -= len(span.records)

    def forget_all(self) -> None:
        """As `forget`, for every partition that was ever delivered."""
        self.forget(list(self._epochs))
