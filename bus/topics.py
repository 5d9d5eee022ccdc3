"""The topics, declared once. Every one is keyed by the conversation's id, so that its order holds."""

from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache

INTERACTIONS = "interactions"
DECISIONS = "decisions"
REPLIES = "replies"
DELIVERIES = "deliveries"
WORK_ITEMS = "work-items"
NOTIFICATIONS = "notifications"
DEAD_LETTERS = "dead-letters"


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as data. Nothing is compacted: every record of a conversation matters, not its last one."""

    name: str
    retention: timedelta
    holds: str

    def configs(self) -> dict[str, str]:
        """Its settings on the broker."""
        return {
            "cleanup.policy": "delete",
            "retention.ms": str(int(self.retention.total_seconds() * 1000)),
        }


TOPICS: tuple[Topic, ...] = (
    Topic(INTERACTIONS, timedelta(days=30), "every accepted inbound contact, once"),
    Topic(DECISIONS, timedelta(days=90), "what triage chose for each interaction, with its trace"),
    Topic(REPLIES, timedelta(days=30), "what is to be sent to customers"),
    Topic(DELIVERIES, timedelta(days=90), "the outcome of each attempt to send"),
    Topic(WORK_ITEMS, timedelta(days=30), "changes of work items, for whoever listens"),
    Topic(NOTIFICATIONS, timedelta(days=7), "events for pages and webhooks"),
    Topic(DEAD_LETTERS, timedelta(days=90), "what could not be processed, with its bytes and the reason"),
)

_M = 0x5BD1E995
_32 = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """Kafka's murmur2, unsigned 32 bits. Source: org.apache.kafka.common.utils.Utils.murmur2."""
    h = 0x9747B28C ^ len(data)
    whole = len(data) & ~3
    for i in range(0, whole, 4):
        k = int.from_bytes(data[i : i + 4], "little") * _M & _32
        k = (k ^ k >> 24) * _M & _32
        h = (h * _M & _32) ^ k
    if rest := data[whole:]:
        h = (h ^ int.from_bytes(rest, "little")) * _M & _32
    h = (h ^ h >> 13) * _M & _32
    return h ^ h >> 15


@lru_cache(maxsize=8192)  # a conversation has several events within moments
def partition_for(key: str, partitions: int) -> int:
    """The partition of a conversation, as Kafka's own default partitioner places it."""
    return (murmur2(key.encode()) & 0x7FFFFFFF) % partitions
