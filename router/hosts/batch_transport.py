"""A Faust transport that delivers each fetched batch of a partition as one event.

Faust's own way costs 200 to 340 µs an event, most of it in waiting, queueing and acknowledging one record at a time.
Here a topic with the schema `Batches` gets events whose value is a `Span`; all other topics stay as they were. The
extension points are Faust's own (a transport, its consumer, a schema); what is private of Faust and aiokafka is listed
in `PRIVATE` and checked at import, because it may change with any version: faust-streaming is pinned.

Known troubles of Faust that this mends (its issue numbers): commits past a message in work (#606) by counting in spans;
a rebalance that waits for ever for an agent (#517) by a bound; an event that is skipped because a rebalance is on is
acknowledged, and may be committed, although nobody saw it: here only a span that was done counts; a fetch that began
before a rebalance and ended after it, whose records are dropped although the position has moved on: here it rewinds.
"""

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

import faust
from faust.transport.drivers import aiokafka as driver
from faust.types import ConsumerMessage
from faust.types.tuples import TP
from mode.utils.futures import notify

from router.hosts.spans import Span, Spans
from runtime.logs import get_logger

BATCHES_IN_FLIGHT, RECORDS_IN_FLIGHT = 8, 2000
"""Delivered and not acknowledged: enough to keep the agent busy while the broker confirms. Many small batches count by
their records."""
WAIT_EMPTY_S = 10.0
"""How long a rebalance waits for what is in work. What is not done then, the next owner does again."""

PRIVATE = {
    driver.Consumer: (
        *("_drain_messages", "_wait_next_records", "_new_offset", "_filter_tps_with_pending_acks", "_reset_state"),
        *("_new_consumer_thread", "_should_commit", "verify_all_partitions_active"),
    ),
    driver.AIOKafkaConsumerThread: ("_create_worker_consumer", "_ensure_consumer"),
}
for _owner, _names in PRIVATE.items():
    for _name in _names:
        if not hasattr(_owner, _name):
            raise ImportError(f"this faust-streaming has no {_owner.__name__}.{_name}: use the pinned version")

log = get_logger(__name__)


class Batches(faust.Schema):
    """The schema of a topic that wants batches: an event's value is a `Span` of aiokafka's records."""

    def loads_key(self, app: Any, message: Any, **_: Any) -> None:
        return None

    def loads_value(self, app: Any, message: Any, **_: Any) -> Any:
        return message.value


class BatchConsumerThread(driver.AIOKafkaConsumerThread):
    """The thread in which aiokafka's consumer runs."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        # Faust asks the broker to hold a fetch for 1.5 s; the embedded one does so even when records come in.
        consumer._fetch_max_wait_ms = transport.fetch_max_wait_ms
        return consumer

    async def rewind(self) -> Mapping[Any, int | None]:
        """Go back to what is committed, or to the beginning where nothing is. aiokafka's own way leaves the
        position alone where nothing is committed."""
        consumer = self._ensure_consumer()
        found: dict[Any, int | None] = {}
        for partition in consumer.assignment():
            found[partition] = offset = await consumer.committed(partition)
            if offset is None:
                await consumer.seek_to_beginning(partition)
            else:
                consumer.seek(partition, offset)
        return found


class BatchConsumer(driver.Consumer):
    """Faust's consumer, which reads, delivers and commits spans for topics with `Batches`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._spans: Spans[Any] = Spans()
        self._room = asyncio.Event()
        self._moves = 0  # rebalances and seeks: a fetch that sees this change has read from an uncertain place
        self._sought: dict[Any, int] = {}
        """Where somebody has put a partition from which nothing was delivered since."""
        self._wants_batches: dict[str, bool] = {}
        super().__init__(*args, **kwargs)

    def _new_consumer_thread(self) -> BatchConsumerThread:
        return BatchConsumerThread(self, loop=self.loop, beacon=self.beacon)

    # --- what is done with

    def is_current(self, span: Span[Any]) -> bool:
        return self._spans.is_current(span)

    def ack(self, message: Any) -> bool:
        span = message.value
        if not isinstance(span, Span):
            done: bool = super().ack(message)
            return done
        message.acked = True
        self._unacked_messages.discard(message)
        counted = self._spans.ack(span)
        self._room.set()
        notify(self._waiting_for_ack)
        return counted

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[Any]:
        yield from super()._filter_tps_with_pending_acks(topics)
        for place in self._spans.places():
            if topics is None or place in topics or place[0] in topics:
                yield TP(*place)

    def _new_offset(self, tp: Any) -> int | None:
        if self._is_batched(tp.topic):
            return self._spans.committable(tp)
        offset: int | None = super()._new_offset(tp)
        return offset

    # --- rebalances and seeks

    async def on_partitions_revoked(self, revoked: Any) -> None:
        self._moves += 1
        await super().on_partitions_revoked(revoked)  # waits for what is in work, and commits it
        self._forget(revoked)

    async def on_partitions_assigned(self, assigned: Any, generation_id: int = 0) -> None:
        self._moves += 1
        self._forget(assigned)
        await super().on_partitions_assigned(assigned, generation_id)

    async def seek(self, partition: Any, offset: int) -> None:
        self._moves += 1
        tp = TP(*partition)
        await super().seek(tp, offset)
        self._forget([tp])
        self._sought[tp] = offset  # a fetch that is under way moves the position once more; see `_rewound`

    async def perform_seek(self) -> None:
        self._moves += 1
        self._spans.forget_all()
        await super().perform_seek()
        self._forget(self.assignment())

    async def seek_to_committed(self) -> Mapping[Any, int]:
        found: Mapping[Any, int] = await self._thread.call_thread(self._thread.rewind)
        return found

    def _forget(self, places: Any) -> None:
        self._moves += 1
        self._spans.forget(places)
        for place in places:
            self._sought.pop(TP(*place), None)
        self._room.set()

    async def wait_empty(self) -> None:
        # Not cancelled at the bound, as Faust swallows that, but told that there is nothing left to wait for.
        waiting = asyncio.create_task(super().wait_empty(), name="router.wait_empty")
        await asyncio.wait({waiting}, timeout=WAIT_EMPTY_S)
        if not waiting.done():
            log.warning("what is in work is left to the next owner", batches=self._spans.in_flight)
            self.let_go()
        await waiting

    async def verify_all_partitions_active(self) -> None:
        """Nothing: our own watchdog looks whether anything moves (`router.hosts.watchdog`), and Faust's crashes the
        app over a partition that was sought and has no position yet."""

    def let_go(self) -> None:
        """What is in work now will not be finished here: nobody waits for it any more."""
        self._unacked_messages.clear()
        notify(self._waiting_for_ack)

    # --- reading

    def _is_batched(self, topic: str) -> bool:
        known = self._wants_batches.get(topic)
        if known is None:
            schemas = [channel.schema for channel in self.app.topics if topic in channel.topics]
            known = self._wants_batches[topic] = any(isinstance(schema, Batches) for schema in schemas)
        return known

    async def _drain_messages(self, fetcher: Any) -> None:
        """Faust's loop from the fetcher to the streams, by batches."""

        def stopped() -> bool:
            return bool(self._stopped.is_set() or fetcher._stopped.is_set())

        uncertain = False
        try:
            while not stopped():
                await self.sleep(0)
                await self._until_room()
                moves = self._moves
                records, active = await self._wait_next_records(1.0)
                if self.should_stop or stopped():
                    return
                if uncertain or (records and (moves != self._moves or not self.flow_active)):
                    uncertain = not (self.flow_active and await self._rewound())
                elif records:
                    uncertain = not await self._deliver(records, active, moves)
        except self.consumer_stopped_errors:
            if not self.app.should_stop:
                raise
        except asyncio.CancelledError:
            if not self.app.should_stop:
                raise

    async def _until_room(self) -> None:
        if self._spans.in_flight >= BATCHES_IN_FLIGHT and self._spans.records_in_flight >= RECORDS_IN_FLIGHT:
            self._room.clear()
            try:
                async with asyncio.timeout(1.0):
                    await self._room.wait()
            except TimeoutError:
                return

    async def _deliver(self, records: Mapping[Any, Any], active: Any, moves: int) -> bool:
        """False if a rebalance or a seek came in between: what was not delivered has to be read again."""
        for partition, batch in records.items():
            tp = TP(*partition)
            known = active is None or tp in active or tp in self._buffered_partitions
            if moves != self._moves or not self.flow_active or not known:
                return False
            self._sought.pop(tp, None)
            self.app.monitor.track_tp_end_offset(tp, self.highwater(tp))
            if self._is_batched(tp.topic):
                await self._hand_over(self._message_of(tp, batch))
            else:
                for record in batch:
                    await self._hand_over(self._to_message(tp, record))
            self._read_offset[tp] = batch[-1].offset
        return True

    def _message_of(self, tp: Any, batch: Any) -> Any:
        last = batch[-1]
        span = self._spans.deliver(tp, batch)
        return ConsumerMessage(
            *(tp.topic, tp.partition, last.offset, last.timestamp / 1000, last.timestamp_type, (), None, span),
            *(None, 0, 0, tp),
            generation_id=self.app.consumer_generation_id,
        )

    async def _hand_over(self, message: Any) -> None:
        await self.wait_first(self.callback(message), self.suspend_flow.wait())

    async def _rewound(self) -> bool:
        try:
            async with asyncio.timeout(self.app.conf.broker_request_timeout):
                sought = dict(self._sought)
                await self.perform_seek()
                for tp, offset in sought.items():
                    await self.seek(tp, offset)
        except Exception as error:  # in the middle of a rebalance; asked again before anything is delivered
            log.info("not rewound yet", error=repr(error))
            return False
        return True


class BatchTransport(driver.Transport):
    """`faust.App(broker=…)` takes its url's scheme from `SCHEME`; see `register`."""

    Consumer = BatchConsumer
    fetch_max_wait_ms = 100


SCHEME = "batchkafka"


def register() -> None:
    """Make `batchkafka://host:port` a broker url that Faust knows. Faust's own list of transports."""
    from faust.transport import drivers

    drivers.TRANSPORTS.aliases[SCHEME] = f"{__name__}:BatchTransport"
