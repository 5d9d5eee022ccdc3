"""confluent-kafka (librdkafka, in C): consume a thousand, produce a thousand, commit after the acks."""

import sys
import time

from confluent_kafka import Consumer, Producer
from meter import BATCH, COMMIT_EVERY_S, IN, OUT, Meter

address, group, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
consumer = Consumer({
    "bootstrap.servers": address, "group.id": group, "enable.auto.commit": False, "auto.offset.reset": "earliest",
    "fetch.wait.max.ms": 100,
})  # fmt: skip
producer = Producer({
    "bootstrap.servers": address, "acks": "all", "enable.idempotence": True, "linger.ms": 5,
    "batch.size": 1_000_000, "queue.buffering.max.messages": 1_000_000,
})  # fmt: skip
consumer.subscribe([IN])
meter, failed, committed_at = Meter(), [], time.monotonic()


def delivered(error, _message) -> None:  # type: ignore[no-untyped-def]
    if error is not None:
        failed.append(error)


while meter.done < count:
    messages = consumer.consume(BATCH, 1.0)
    if not messages:
        continue
    meter.begin()
    for message in messages:
        producer.produce(
            OUT, message.value(), message.key(), message.partition(), on_delivery=delivered, headers=message.headers()
        )
    producer.poll(0)
    meter.count(len(messages))
    if time.monotonic() - committed_at > COMMIT_EVERY_S:
        producer.flush()
        consumer.commit(asynchronous=False)
        committed_at = time.monotonic()
producer.flush()
consumer.commit(asynchronous=False)
assert not failed, failed[0]
meter.report()
