import random
from pathlib import Path

import pytest
from aiokafka.partitioner import DefaultPartitioner, murmur2

from bus import topics
from bus.brokers import ExternalBroker, LocalBroker, open_broker
from bus.safety import consumer_options, producer_options, refuse_unsafe
from bus.settings import KafkaSettings
from bus.topics import TOPICS, partition_for
from schemas.errors import ConfigError


def test_keys_are_placed_as_aiokafka_places_them() -> None:
    rng = random.Random(7)
    place = DefaultPartitioner()
    for n in (1, 2, 6, 7, 48):
        partitions = list(range(n))
        for size in [*range(40), 255]:
            key = "".join(rng.choices("abcxyz019-ü漢🙂", k=size))
            assert partition_for(key, n) == place(key.encode(), partitions, partitions), key
    for _ in range(300):
        data = rng.randbytes(rng.randrange(64))
        assert topics.murmur2(data) == murmur2(data) & 0xFFFFFFFF


def test_the_seven_topics() -> None:
    assert [topic.name for topic in TOPICS] == [
        *("interactions", "decisions", "replies", "deliveries"),
        *("work-items", "notifications", "dead-letters"),
    ]
    assert TOPICS[0].configs() == {"cleanup.policy": "delete", "retention.ms": "2592000000"}


@pytest.mark.parametrize("embedded", [True, False])
def test_the_options_in_use_are_safe_and_others_are_refused(embedded: bool) -> None:
    producer = producer_options("x:1", embedded=embedded)
    consumer = consumer_options("x:1", "g", embedded=embedded)
    assert refuse_unsafe(producer, embedded=embedded) is producer
    assert refuse_unsafe(consumer, embedded=embedded) is consumer
    for options, name, unsafe in (
        (producer, "acks", 1),
        (producer, "enable_idempotence", embedded),
        (consumer, "enable_auto_commit", True),
        (consumer, "auto_offset_reset", "latest"),
    ):
        with pytest.raises(ConfigError, match=name):
            refuse_unsafe({**options, name: unsafe}, embedded=embedded)
        missing = {key: value for key, value in options.items() if key != name}
        with pytest.raises(ConfigError, match=name):
            refuse_unsafe(missing, embedded=embedded)


def test_settings_name_a_broker(tmp_path: Path) -> None:
    assert KafkaSettings().kind == "embedded"
    assert KafkaSettings(brokers="a:9092, b:9092").brokers == "a:9092,b:9092"
    assert isinstance(open_broker(KafkaSettings(brokers="a:9092"), tmp_path), ExternalBroker)
    assert isinstance(open_broker(KafkaSettings(brokers="local"), tmp_path), LocalBroker)
    for wrong in ("", "a", "a:x", "a:0", "a:1,,b:2", "tcp://a"):
        with pytest.raises(ValueError, match="host:port"):
            KafkaSettings(brokers=wrong)
