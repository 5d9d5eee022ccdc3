"""Kafka behind the ports: a producer and a consumer with the safe settings and a bound on every wait."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import (
    CommitFailedError,
    IllegalStateError,
    KafkaError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    UnknownMemberIdError,
)

from bus.batches import Lane, confirm, hand_over, pack
from bus.bounded import bounded, let_go
from bus.records import Batch, Failed, Outcome, Outgoing, Place, Record, Refused
from bus.safety import Compression, consumer_options, producer_options, refuse_unsafe
from runtime.logs import get_logger
from runtime.tasks import TaskOwner
from schemas.errors import BrokerUnavailable

_START_TIMEOUT_S = 30.0
_COMMIT_TIMEOUT_S = 10.0
_STOP_TIMEOUT_S = 3.0
_LATE = Failed("no confirmation in time")
_TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)

log = get_logger(__name__)


class KafkaSink:
    """Sink on Kafka. A producer that did not answer in time is thrown away; the next write builds a new one."""

    def __init__(
        self, address: str, *, embedded: bool, send_timeout_s: float = 10.0, compression: Compression = "none"
    ) -> None:
        options = producer_options(address, embedded=embedded, compression=compression)
        self._options = refuse_unsafe(options, embedded=embedded)
        self._send_timeout_s = send_timeout_s
        self._producer: AIOKafkaProducer | None = None
        self._building = asyncio.Lock()
        self._closed = asyncio.Event()
        self._leaving = TaskOwner()

    async def write(self, records: Sequence[Outgoing]) -> list[Outcome]:
        if not records:
            return []
        try:
            producer = await self._ready()
        except (BrokerUnavailable, KafkaError, OSError) as error:
            return [Failed(str(error)) for _ in records]
        outcomes = await self._send_all(producer, records)
        # The broker refuses a whole batch when one record in it is too large: ask for each alone.
        doubtful = [i for i, outcome in enumerate(outcomes) if isinstance(outcome, Refused)]
        if len(doubtful) > 1:
            for i in doubtful:
                outcomes[i] = (await self._send_all(producer, [records[i]]))[0]
        return outcomes

    async def _ready(self) -> AIOKafkaProducer:
        async with self._building:
            if self._closed.is_set():
                raise BrokerUnavailable("the producer is closed")
            if self._producer is None:
                producer = AIOKafkaProducer(**self._options)
                try:
                    await bounded("producer start", producer.start(), self._send_timeout_s)
                except BaseException:
                    await let_go("producer", producer.stop(), _STOP_TIMEOUT_S)
                    raise
                self._producer = producer
            return self._producer

    async def _send_all(self, producer: AIOKafkaProducer, records: Sequence[Outgoing]) -> list[Outcome]:
        outcomes: list[Outcome] = [_LATE] * len(records)
        sending = asyncio.create_task(_send(producer, records, outcomes), name="producer.send")
        closed = asyncio.ensure_future(self._closed.wait())
        try:
            done, _ = await asyncio.wait(
                {sending, closed}, timeout=self._send_timeout_s, return_when=asyncio.FIRST_COMPLETED
            )
            if sending in done:
                sending.result()
        finally:
            closed.cancel()
            if not sending.done():
                sending.cancel()
                self._throw_away(producer)
        return list(outcomes)  # what comes late changes nothing of it

    def _throw_away(self, producer: Any) -> None:
        current = self._producer is producer
        if current:
            log.warning("no confirmation in time: the producer is thrown away")
            self._producer = None
            # Aside, because its own stop waits for the confirmations that do not come.
            leaving = let_go("producer", producer.stop(), _STOP_TIMEOUT_S)
            self._leaving.spawn("producer.leaving", leaving, forever=False)

    async def close(self) -> None:
        self._closed.set()
        producer = self._producer
        self._producer = None
        if producer is not None:
            await let_go("producer", producer.stop(), _STOP_TIMEOUT_S)
        await self._leaving.finish(_STOP_TIMEOUT_S)


async def _send(producer: AIOKafkaProducer, records: Sequence[Outgoing], outcomes: list[Outcome]) -> None:
    """Note what becomes of each record as soon as it is known."""
    try:
        lanes, refused = await pack(producer, records)
        for number, outcome in refused.items():
            outcomes[number] = outcome
        await asyncio.gather(*(_send_lane(producer, lane, outcomes) for lane in lanes))
    except (KafkaError, OSError) as error:
        why = Failed(f"{type(error).__name__}: {error}")
        outcomes[:] = [why if outcome is _LATE else outcome for outcome in outcomes]


async def _send_lane(producer: AIOKafkaProducer, lane: Lane, outcomes: list[Outcome]) -> None:
    for numbers, answer in await hand_over(producer, lane):
        try:
            confirm(numbers, await answer, outcomes)
            continue
        except _TOO_LARGE as error:
            outcome: Outcome = Refused(f"too large for the broker: {error}")
        except (KafkaError, OSError) as error:
            outcome = Failed(f"{type(error).__name__}: {error}")
        for number in numbers:
            outcomes[number] = outcome


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    """Counts who has had a partition, so that nothing is committed for one that was taken away."""

    def __init__(self, epochs: dict[Place, int]) -> None:
        self._epochs = epochs

    def _next(self, places: Iterable[TopicPartition]) -> None:
        for place in places:
            self._epochs[(place.topic, place.partition)] = self._epochs.get((place.topic, place.partition), 0) + 1

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        self._next(revoked)

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        self._next(assigned)


class KafkaSource:
    """Source on Kafka. Bound to one address for its life."""

    def __init__(self, address: str, group: str, topics: Sequence[str], *, embedded: bool) -> None:
        options = refuse_unsafe(consumer_options(address, group, embedded=embedded), embedded=embedded)
        self._topics = list(topics)
        self._epochs: dict[Place, int] = {}
        self._consumer = AIOKafkaConsumer(**options)
        self._started = False

    @property
    def assignment(self) -> frozenset[Place]:
        """The partitions that are ours now."""
        return frozenset((tp.topic, tp.partition) for tp in self._consumer.assignment())

    async def start(self) -> None:
        self._consumer.subscribe(self._topics, listener=_Listener(self._epochs))
        self._started = True
        try:
            await bounded("consumer start", self._consumer.start(), _START_TIMEOUT_S)
        except (KafkaError, OSError) as error:
            raise BrokerUnavailable(f"the consumer cannot join: {error}") from error

    async def read(self, max_records: int, timeout: float) -> Batch:
        try:
            return await bounded("read", self._fetch(max_records, timeout), timeout + _COMMIT_TIMEOUT_S)
        except (KafkaError, OSError) as error:
            raise BrokerUnavailable(f"read: {error}") from error

    async def _fetch(self, max_records: int, timeout: float) -> Batch:
        found = await self._consumer.getmany(timeout_ms=int(timeout * 1000), max_records=max_records)
        # The epochs are taken in the same step, before a rebalance can come in between.
        places = {tp: (tp.topic, tp.partition) for tp, messages in found.items() if messages}
        records = {place: tuple(_record(message) for message in found[tp]) for tp, place in places.items()}
        return Batch(records, {place: self._epochs.get(place, 0) for place in records})

    def _current(self, batch: Batch) -> list[Place]:
        ours = self.assignment
        return [p for p in batch.records if p in ours and self._epochs.get(p, 0) == batch.epochs[p]]

    async def commit(self, batch: Batch) -> frozenset[Place]:
        places = self._current(batch)
        offsets = {TopicPartition(*place): batch.records[place][-1].offset + 1 for place in places}
        if not offsets:
            return frozenset()
        try:
            await bounded("commit", self._consumer.commit(offsets), _COMMIT_TIMEOUT_S)
        except (CommitFailedError, UnknownMemberIdError, IllegalStateError):
            return frozenset()  # the group has moved on without us
        except (KafkaError, OSError) as error:
            raise BrokerUnavailable(f"commit: {error}") from error
        return frozenset(places)

    async def seek_back(self, batch: Batch) -> None:
        for place in self._current(batch):
            self._consumer.seek(TopicPartition(*place), batch.records[place][0].offset)
            self._epochs[place] = self._epochs.get(place, 0) + 1

    def pause(self, places: Iterable[Place]) -> None:
        self._consumer.pause(*(TopicPartition(*p) for p in self.assignment.intersection(places)))

    def resume(self, places: Iterable[Place]) -> None:
        self._consumer.resume(*(TopicPartition(*p) for p in self.assignment.intersection(places)))

    async def close(self) -> None:
        if self._started:
            await let_go("consumer", self._consumer.stop(), _STOP_TIMEOUT_S)


def _record(message: Any) -> Record:
    return Record(
        message.topic,
        message.partition,
        message.offset,
        message.key,
        message.value,
        tuple((name, value or b"") for name, value in message.headers),  # Kafka allows null
        message.timestamp,
    )
