"""The `kafka` section."""

from typing import Literal

from pydantic import Field, field_validator

from bus.safety import Compression
from schemas.base import Config
from schemas.durations import Duration, parse_duration


class KafkaSettings(Config):
    """Which broker, and how topics are made."""

    brokers: str = "embedded"
    """`embedded` (part of the installation, in memory, made durable by the outbox), `local` (Apache Kafka as a child
    of ours; needs Java and Maven), or `host:port,host:port` of any Kafka cluster."""
    partitions: int = Field(default=6, ge=1, le=1000)
    """Partitions per topic, fixed when a topic is created."""
    replication: int = Field(default=1, ge=1, le=9)
    send_timeout: Duration = parse_duration("10s")
    """How long a confirmation may take before the producer is thrown away and built anew."""
    compression: Compression = "none"
    """How records are packed on their way to the broker. `snappy` costs 3 µs a record and leaves a third of it, `zstd`
    8 µs and a sixth, `lz4` (as its library is called by aiokafka, at its slowest) 17 µs and a quarter: worth it where
    the network or the broker's disk is dear. The embedded broker, which has memory only, always gets snappy."""
    embedded_memory_warning: int = Field(default=1_000_000_000, ge=50_000_000)
    """Bytes of memory of the embedded broker above which a warning is logged: it never gives memory back."""
    local_heap_mb: int = Field(default=384, ge=128, le=32_768)
    """The Java heap of the local broker, in MiB; the process takes about as much again."""

    @field_validator("brokers")
    @classmethod
    def _brokers(cls, value: str) -> str:
        if value in ("embedded", "local"):
            return value
        for part in value.split(","):
            host, _, port = part.strip().rpartition(":")
            if not host or not port.isdecimal() or not 0 < int(port) < 65536:
                raise ValueError(f"{part.strip()!r} is not host:port (or write embedded or local)")
        return ",".join(part.strip() for part in value.split(","))

    @property
    def kind(self) -> Literal["embedded", "local", "external"]:
        if self.brokers == "embedded":
            return "embedded"
        return "local" if self.brokers == "local" else "external"
