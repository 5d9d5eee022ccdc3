"""Making topics and comparing them with what is declared.

Topics are listed before any is described: a broker may create what a client asks about, with a number of
partitions of its own, and the embedded one always does.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from bus.bounded import bounded, let_go
from bus.topics import Topic
from schemas.errors import BrokerUnavailable, ConfigError, SwitchboardError

_TIMEOUT_S = 20.0
_TOPIC_EXISTS = 36


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference between a topic as declared and as it is."""

    topic: str
    kind: Literal["missing", "partitions", "cleanup"]
    detail: str


class PartitionsDifferError(ConfigError):
    """A topic has another number of partitions than configured, which cannot be changed in place."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__(
            [f"topic {finding.topic}: {finding.detail}" for finding in findings],
            hint="A key's partition depends on their number, so it never changes: set kafka.partitions back, "
            "or drain the topics and start a new generation of them.",
        )


class TopicNotMadeError(SwitchboardError):
    """The broker refused to create a topic."""


async def apply(address: str, topics: Sequence[Topic], partitions: int, replication: int) -> list[str]:
    """Create the missing topics, and wait until the broker shows them; gives their names.

    Raises PartitionsDifferError (before anything is created), TopicNotMadeError, BrokerUnavailable.
    """
    async with _Admin(address) as admin:
        findings = await admin.compare(topics, partitions)
        if wrong := [f for f in findings if f.kind == "partitions"]:
            raise PartitionsDifferError(wrong)
        missing = {f.topic for f in findings if f.kind == "missing"}
        await admin.create([t for t in topics if t.name in missing], partitions, replication)
        if missing:
            await admin.shown([t for t in topics if t.name in missing], partitions)
        return [t.name for t in topics if t.name in missing]


async def check(address: str, topics: Sequence[Topic], partitions: int) -> list[Finding]:
    """Every difference; an empty list if all is as declared. Raises BrokerUnavailable."""
    async with _Admin(address) as admin:
        return await admin.compare(topics, partitions)


async def cluster_id(address: str) -> str:
    """The cluster's own id. Raises BrokerUnavailable."""
    async with _Admin(address) as admin:
        return await admin.cluster_id()


async def standing(address: str, topics: Sequence[Topic]) -> tuple[str, list[str]]:
    """(the cluster's own id, the names of those topics that it does not have). Raises BrokerUnavailable."""
    async with _Admin(address) as admin:
        there = await admin.names()
        return await admin.cluster_id(), [topic.name for topic in topics if topic.name not in there]


async def log_ends(address: str, topics: Sequence[Topic]) -> tuple[str, dict[tuple[str, int], int]]:
    """(the cluster's id, (topic, partition) → the offset that its next record gets) of those topics that exist.

    Raises BrokerUnavailable.
    """
    async with _Admin(address) as admin:
        cluster = await admin.cluster_id()
        there = await admin.partitions([topic.name for topic in topics])
    consumer = AIOKafkaConsumer(bootstrap_servers=address, request_timeout_ms=5_000)
    try:
        await _asked("connect", address, consumer.start())
        ends = await _asked("list offsets", address, consumer.end_offsets([TopicPartition(*place) for place in there]))
    finally:
        await let_go("consumer", consumer.stop(), 2.0)
    return cluster, {(place.topic, place.partition): end for place, end in ends.items()}


async def _asked(what: str, address: str, coro: Any) -> Any:
    try:
        return await bounded(f"{what} ({address})", coro, _TIMEOUT_S)
    except (KafkaError, OSError) as error:
        raise BrokerUnavailable(f"{what}: no answer from {address}: {error}") from error


class _Admin:
    def __init__(self, address: str) -> None:
        self._address = address
        self._client = AIOKafkaAdminClient(bootstrap_servers=address, request_timeout_ms=5_000)

    async def __aenter__(self) -> "_Admin":
        try:
            await self._call("connect", self._client.start())
        except BaseException:
            await let_go("admin", self._client.close(), 2.0)
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await let_go("admin", self._client.close(), 2.0)

    async def _call(self, what: str, coro: Any) -> Any:
        return await _asked(what, self._address, coro)

    async def cluster_id(self) -> str:
        return str((await self._call("describe cluster", self._client.describe_cluster()))["cluster_id"])

    async def names(self) -> set[str]:
        """Of all topics that are there."""
        return set(await self._call("list topics", self._client.list_topics()))

    async def partitions(self, names: Sequence[str]) -> list[tuple[str, int]]:
        """Every partition of those topics that exist."""
        known = sorted(await self.names() & set(names))
        if not known:
            return []
        described = await self._call("describe topics", self._client.describe_topics(known))
        return [(topic["topic"], found["partition"]) for topic in described for found in topic["partitions"]]

    async def compare(self, topics: Sequence[Topic], partitions: int) -> list[Finding]:
        there = await self.names()
        known = [topic for topic in topics if topic.name in there]
        findings = [
            Finding(topic.name, "missing", "the topic does not exist") for topic in topics if topic not in known
        ]
        if not known:
            return findings
        for found in await self._call("describe topics", self._client.describe_topics([topic.name for topic in known])):
            if (count := len(found["partitions"])) != partitions:
                detail = f"{count} partitions, {partitions} are configured"
                findings.append(Finding(found["topic"], "partitions", detail))
        cleanup = await self._cleanup([topic.name for topic in known])
        for topic in known:
            want, has = topic.configs()["cleanup.policy"], cleanup.get(topic.name)
            if has is not None and has != want:
                findings.append(Finding(topic.name, "cleanup", f"cleanup.policy is {has}, {want} is declared"))
        return findings

    async def shown(self, topics: Sequence[Topic], partitions: int) -> None:
        """Kafka confirms a topic before all of it is in the metadata that it hands out."""
        until = asyncio.get_running_loop().time() + _TIMEOUT_S
        while findings := await self.compare(topics, partitions):
            if asyncio.get_running_loop().time() > until:
                raise TopicNotMadeError(f"topic {findings[0].topic}: {findings[0].detail}")
            await asyncio.sleep(0.02)

    async def _cleanup(self, names: Sequence[str]) -> dict[str, str]:
        resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
        out = {}
        for answer in await self._call("describe configs", self._client.describe_configs(resources)):
            for _code, _text, _type, name, entries in answer.resources:
                policies = [entry[1] for entry in entries if entry[0] == "cleanup.policy"]
                if policies:
                    out[name] = policies[0]
        return out

    async def create(self, topics: Sequence[Topic], partitions: int, replication: int) -> None:
        if not topics:
            return
        new = [NewTopic(t.name, partitions, replication, topic_configs=t.configs()) for t in topics]
        answer = await self._call("create topics", self._client.create_topics(new))
        for name, code, text in answer.topic_errors:
            # Somebody else may have been quicker; whether theirs is right, the next check says.
            if code not in (0, _TOPIC_EXISTS):
                raise TopicNotMadeError(f"topic {name}: {text or code}")
