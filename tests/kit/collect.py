"""Reads the evidence after a run: the store, the topics from their earliest record, the groups' offsets."""

import asyncio
from collections.abc import Mapping

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition
from sqlalchemy import func, select
from sqlalchemy.engine import Connection

from bus.topics import TOPICS
from store import tables
from tests.kit.checker_house import APPLIER, ROUTER, SENDERS
from tests.kit.evidence import (
    Acceptance,
    Delivery,
    Interaction,
    OutboxRow,
    Reply,
    Report,
    Seen,
    StoreDump,
    WorkItemChange,
)

READ_TIMEOUT_S = 120.0
GROUPS = {
    ROUTER: ("interactions",),
    APPLIER: ("decisions", "deliveries", "dead-letters"),
    SENDERS: ("replies",),
}


def dump(conn: Connection) -> StoreDump:
    """The store as it is, in one transaction."""
    reports, changes, outbox = [], [], []
    for row in conn.execute(select(tables.outbox)):
        outbox.append(
            OutboxRow(
                event_id=row.event_id,
                topic=row.topic,
                key=row.key,
                position=row.position,
                done=row.done,
                incarnation=row.incarnation,
                partition=row.partition,
                offset=row.offset,
            )
        )
        if row.topic == "deliveries":
            value = orjson.loads(row.value)
            names = ("reply_id", "recipient", "change", "state", "detail")
            reports.append(Report(**{name: value[name] for name in names}))
        elif row.topic == "work-items":
            value = orjson.loads(row.value)
            names = ("id", "version", "epoch", "state", "agent")
            changes.append(
                WorkItemChange(conversation=value["conversation_id"], **{name: value[name] for name in names})
            )
    return StoreDump(
        acceptances=[
            Acceptance(interaction_id=row.interaction_id, channel=row.channel, copies=row.copies)
            for row in conn.execute(select(tables.acceptances))
        ],
        interactions=[
            Interaction(
                id=row.id,
                contact=_contact(row.channel, row.body),
                channel=row.channel,
                conversation=row.conversation_id,
                seq=row.seq,
                state=row.state,
                reason=row.reason,
                round=row.round,
            )
            for row in conn.execute(select(tables.interactions))
        ],
        last_seq={
            row.id: row.last_seq
            for row in conn.execute(select(tables.conversations.c.id, tables.conversations.c.last_seq))
        },
        replies=[
            Reply(
                id=row.id,
                conversation=row.conversation_id,
                automatic=row.body["automatic"],
                acknowledgement=row.body["acknowledgement"],
                answers=row.body["answers"],
                through=row.body["answers_through"],
                created_at=row.created_at.timestamp(),
            )
            for row in conn.execute(select(tables.replies))
        ],
        deliveries=[
            Delivery(
                reply_id=row.reply_id,
                recipient=row.recipient,
                channel=row.channel,
                state=row.state,
                provider_id=row.provider_id,
            )
            for row in conn.execute(select(tables.deliveries))
        ],
        reports=reports,
        work_items=changes,
        outbox=outbox,
        decided=frozenset(conn.scalars(select(tables.decisions.c.id))),
        dead_letters=frozenset(conn.scalars(select(tables.dead_letters.c.id))),
    )


def _contact(channel: str, body: Mapping[str, object] | None) -> str:
    """The id that the customer gave it. In a chat it stands behind the session's."""
    native = str(body["native_id"]) if body else ""
    return native.rpartition(":")[2] if channel == "chat" else native


def life(conn: Connection) -> int:
    """How many lives the broker has had: more than one if it has lost records."""
    return conn.scalar(select(func.max(tables.broker_lives.c.life))) or 1


async def read_topics(address: str) -> dict[str, list[Seen]]:
    """Every record that the broker still has, by topic."""
    found: dict[str, list[Seen]] = {topic.name: [] for topic in TOPICS}
    # Without a group it is given every partition.
    consumer = AIOKafkaConsumer(
        *found, bootstrap_servers=address, group_id=None, enable_auto_commit=False, auto_offset_reset="earliest"
    )
    async with asyncio.timeout(READ_TIMEOUT_S):
        await consumer.start()
        try:
            places = list(consumer.assignment())
            await consumer.seek_to_beginning(*places)
            ends = await consumer.end_offsets(places)
            left = {place for place in places if ends[place] > 0}
            while left:
                for place, messages in (await consumer.getmany(timeout_ms=500)).items():
                    for message in messages:
                        id_ = dict(message.headers).get("ce_id", b"").decode()
                        found[place.topic].append(Seen(place.partition, message.offset, message.key.decode(), id_))
                for place in list(left):
                    if await consumer.position(place) >= ends[place]:
                        left.discard(place)
        finally:
            await consumer.stop()
    return found


async def read_committed(address: str, partitions: int, life: int = 1) -> dict[tuple[str, str, int], int]:
    """(group, topic, partition) → the next offset that the group will read. Nobody joins the group for it.

    `life`: the broker's; each has groups of its own.
    """
    found: dict[tuple[str, str, int], int] = {}
    for group, topics in GROUPS.items():
        name = group if life == 1 else f"{group}.{life}"
        consumer = AIOKafkaConsumer(bootstrap_servers=address, group_id=name, enable_auto_commit=False)
        places = [TopicPartition(topic, partition) for topic in topics for partition in range(partitions)]
        async with asyncio.timeout(READ_TIMEOUT_S):
            await consumer.start()
            try:
                consumer.assign(places)
                for place in places:
                    offset = await consumer.committed(place)
                    if offset is not None and offset >= 0:
                        found[group, place.topic, place.partition] = offset
            finally:
                await consumer.stop()
    return found
