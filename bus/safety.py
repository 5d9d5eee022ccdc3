"""The settings under which aiokafka loses nothing, and a check that nothing else ever runs.

aiokafka's own defaults lose records: acks=1, auto-commit on, reset to the latest. Here is the one place
that makes the options of every client.
"""

from typing import Any, Literal

from schemas.errors import ConfigError

MAX_REQUEST_BYTES = 1_048_576
"""The largest record; Kafka's own default limit is 12 bytes more."""
MAX_BATCH_BYTES = 1_000_000
"""A batch of ours, before compression: below a broker's limit for a batch, which is that for a record."""
_CLIENT_ID = "switchboard"
Compression = Literal["none", "snappy", "lz4", "zstd"]


def producer_options(address: str, *, embedded: bool, compression: Compression = "none") -> dict[str, Any]:
    """Options for AIOKafkaProducer. The embedded broker knows no idempotent producer."""
    return {
        "bootstrap_servers": address,
        "client_id": _CLIENT_ID,
        "acks": "all",
        "enable_idempotence": not embedded,
        "compression_type": "snappy" if embedded else None if compression == "none" else compression,
        "max_request_size": MAX_REQUEST_BYTES,
        # aiokafka's own 16 KiB makes a request of every few records: 70 to 200 µs an event at the broker.
        "max_batch_size": MAX_BATCH_BYTES,
        "request_timeout_ms": 5_000 if embedded else 20_000,
        "linger_ms": 0,
    }


def fetch_wait_ms(*, embedded: bool) -> int:
    """How long a fetch may wait for records. The embedded broker holds it for all of that time, even when records come
    in; shorter waits would make more and smaller batches, which cost more than they win (measured from 20 to 150)."""
    return 100 if embedded else 500


def consumer_options(address: str, group: str, *, embedded: bool) -> dict[str, Any]:
    """Options for AIOKafkaConsumer as a member of `group`."""
    return {
        "bootstrap_servers": address,
        "client_id": _CLIENT_ID,
        "group_id": group,
        "enable_auto_commit": False,
        "auto_offset_reset": "earliest",
        "isolation_level": "read_committed" if not embedded else "read_uncommitted",
        "request_timeout_ms": 5_000 if embedded else 20_000,
        "max_poll_interval_ms": 300_000,
        # The embedded broker lets a join wait for half the session timeout (measured: 6 s, 3 s; 3 s, 2 s). It
        # counts generations from 0, at which aiokafka does not say goodbye: a member that left stays until its
        # session ends.
        # Elsewhere: the partitions of a member that was killed are idle for this long.
        "session_timeout_ms": 3_000 if embedded else 10_000,
        "heartbeat_interval_ms": 500 if embedded else 2_000,
        "rebalance_timeout_ms": 3_000 if embedded else 30_000,
        "fetch_max_wait_ms": fetch_wait_ms(embedded=embedded),
    }


def refuse_unsafe(options: dict[str, Any], *, embedded: bool) -> dict[str, Any]:
    """Hand `options` back if they are safe. Raises ConfigError that names each one that is not."""
    wanted: dict[str, object] = {}
    if "group_id" in options:
        wanted = {"enable_auto_commit": False, "auto_offset_reset": "earliest"}
    else:
        wanted = {"acks": "all", "enable_idempotence": not embedded}
    problems = [
        f"kafka client: {name}={options.get(name)!r} may lose records; it must be {value!r}"
        for name, value in wanted.items()
        if options.get(name) != value
    ]
    if problems:
        raise ConfigError(problems)
    return options
