"""Quix Streams (on librdkafka): a dataframe that copies bytes, keys and headers, at least once."""

import logging
import sys

from meter import COMMIT_EVERY_S, IN, OUT, Meter
from quixstreams import Application

address, group, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
app = Application(
    broker_address=address,
    consumer_group=group,
    auto_offset_reset="earliest",
    processing_guarantee="at-least-once",
    commit_interval=COMMIT_EVERY_S,
    producer_extra_config={"linger.ms": 5, "batch.size": 1_000_000, "acks": "all", "enable.idempotence": True},
    consumer_extra_config={"fetch.wait.max.ms": 100},
    auto_create_topics=False,
    loglevel=logging.WARNING,
)
source = app.topic(IN, key_deserializer="bytes", value_deserializer="bytes")
target = app.topic(OUT, key_serializer="bytes", value_serializer="bytes")
meter = Meter()


def seen(value: bytes) -> bytes:
    meter.begin()
    meter.count(1)
    return value


frame = app.dataframe(source).apply(seen).to_topic(target)
app.run(count=count)  # flushes, commits and stops
meter.report()
