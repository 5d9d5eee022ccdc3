"""Records packed into Kafka's own batches, so that one confirmation serves them all: a future and a wait for each
record cost more than everything else that is done with it."""

import asyncio
from collections.abc import Sequence
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


async def pack(producer: AIOKafkaProducer, records: Sequence[Outgoing]) -> tuple[list[Lane], dict[int, Outcome]]:
    """Lanes, and the outcome of what is too large for any broker, by number. Raises KafkaError without metadata."""
    lanes: dict[tuple[str, int], Lane] = {}
    refused: dict[int, Outcome] = {}
    counts: dict[str, int] = {}
    for number, record in enumerate(records):
        if len(record.value) > _SURELY_FITS and (size := _size(record)) > MAX_REQUEST_BYTES:
            refused[number] = Refused(f"{size} bytes; the limit is {MAX_REQUEST_BYTES}")
            continue
        partition = record.partition
        if partition is None:
            count = counts.get(record.topic)
            if count is None:
                count = counts[record.topic] = len(await producer.partitions_for(record.topic))
            partition = partition_for(record.key, count)
        lane = lanes.get((record.topic, partition))
        if lane is None:
            lane = lanes[(record.topic, partition)] = Lane(record.topic, partition)
        _add(producer, lane, number, record)
    return list(lanes.values()), refused


def _size(record: Outgoing) -> int:
    headers = sum(len(name) + len(value or b"") + 10 for name, value in record.headers)
    return len(record.value) + len(record.key) + headers + _OVERHEAD_BYTES


def _add(producer: AIOKafkaProducer, lane: Lane, number: int, record: Outgoing) -> None:
    key, headers = record.key.encode(), list(record.headers)
    if lane.batches:
        builder, numbers = lane.batches[-1]
        if builder.append(timestamp=None, key=key, value=record.value, headers=headers) is not None:
            numbers.append(number)
            return
    builder = producer.create_batch()
    builder.append(timestamp=None, key=key, value=record.value, headers=headers)  # the first always fits
    lane.batches.append((builder, [number]))


async def hand_over(producer: AIOKafkaProducer, lane: Lane) -> list[tuple[list[int], asyncio.Future[Any]]]:
    """Hand a lane over, batch after batch. Each batch's future gives where it begins, or why it failed."""
    return [
        (numbers, await producer.send_batch(builder, lane.topic, partition=lane.partition))
        for builder, numbers in lane.batches
    ]


def confirmed(numbers: Sequence[int], metadata: Any) -> dict[int, Outcome]:
    """The places of a batch's records: they follow one another."""
    return {number: Confirmed(metadata.partition, metadata.offset + at) for at, number in enumerate(numbers)}
