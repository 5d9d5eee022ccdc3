"""Records packed into Kafka's own batches, so that one confirmation serves them all: a future and a wait for each
record cost more than everything else that is done with it."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaProducer

from bus.records import Confirmed, Outcome, Outgoing, Refused
from bus.safety import MAX_REQUEST_BYTES
from bus.topics import partition_for

_SURELY_FITS = MAX_REQUEST_BYTES // 2
"""A value up to this leaves room for any key and headers of ours; should it not, the broker refuses the record."""
_OVERHEAD_BYTES = 100
"""What a record costs besides key, value and headers, at most; each header may take ten more."""


@dataclass(slots=True)
class Lane:
    """What goes to one partition, in order: `batches` of the numbers of their records, with aiokafka's builder."""

    topic: str
    partition: int
    batches: list[tuple[Any, list[int]]] = field(default_factory=list)
    append: Callable[..., Any] = field(init=False)
    """Adds a record to the batch that is being filled."""
    numbers: list[int] = field(init=False)

    def begin(self, producer: AIOKafkaProducer) -> None:
        """A new batch."""
        builder = producer.create_batch()
        self.append, self.numbers = builder.append, []
        self.batches.append((builder, self.numbers))


async def pack(producer: AIOKafkaProducer, records: Sequence[Outgoing]) -> tuple[list[Lane], dict[int, Outcome]]:
    """Lanes, and the outcome of what is too large for any broker, by number. Raises KafkaError without metadata."""
    lanes: dict[tuple[str, int], Lane] = {}
    refused: dict[int, Outcome] = {}
    counts: dict[str, int] = {}
    lane: Lane | None = None
    for number, record in enumerate(records):
        topic, key, value, headers, partition = record
        if len(value) > _SURELY_FITS and (size := _size(record)) > MAX_REQUEST_BYTES:
            refused[number] = Refused(f"{size} bytes; the limit is {MAX_REQUEST_BYTES}")
            continue
        if partition is None:
            if topic not in counts:
                counts[topic] = len(await producer.partitions_for(topic))
            partition = partition_for(key, counts[topic])
        if lane is None or lane.partition != partition or lane.topic != topic:
            lane = lanes.get((topic, partition)) or lanes.setdefault((topic, partition), Lane(topic, partition))
            if not lane.batches:
                lane.begin(producer)
        name, fields = key.encode(), list(headers)
        if lane.append(timestamp=None, key=name, value=value, headers=fields) is None:
            lane.begin(producer)  # this batch is full; the first of a batch always fits
            lane.append(timestamp=None, key=name, value=value, headers=fields)
        lane.numbers.append(number)
    return list(lanes.values()), refused


def _size(record: Outgoing) -> int:
    headers = sum(len(name) + len(value or b"") + 10 for name, value in record.headers)
    return len(record.value) + len(record.key) + headers + _OVERHEAD_BYTES


async def hand_over(producer: AIOKafkaProducer, lane: Lane) -> list[tuple[list[int], asyncio.Future[Any]]]:
    """Hand a lane over, batch after batch. Each batch's future gives where it begins, or why it failed."""
    return [
        (numbers, await producer.send_batch(builder, lane.topic, partition=lane.partition))
        for builder, numbers in lane.batches
    ]


def confirm(numbers: Sequence[int], metadata: Any, outcomes: list[Outcome]) -> None:
    """Note the places of a batch's records: they follow one another."""
    partition, offset = metadata.partition, metadata.offset
    for at, number in enumerate(numbers):
        outcomes[number] = Confirmed(partition, offset + at)
