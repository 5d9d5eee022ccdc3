"""The measure of all: a bare aiokafka loop that copies, at its best (uvloop, batches of 1 MB, commits after acks)."""

import asyncio
import sys
import time
from collections import deque

import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from tests.bench.hosts.meter import BATCH, BATCH_BYTES, COMMIT_EVERY_S, IN, IN_FLIGHT, OUT, Meter


async def main(address: str, group: str, count: int) -> None:
    consumer = AIOKafkaConsumer(
        IN, bootstrap_servers=address, group_id=group, enable_auto_commit=False, auto_offset_reset="earliest",
        fetch_max_wait_ms=100, max_poll_records=BATCH,
    )  # fmt: skip
    producer = AIOKafkaProducer(
        bootstrap_servers=address, acks="all", enable_idempotence=True, max_batch_size=BATCH_BYTES, linger_ms=0
    )
    await producer.start()
    await consumer.start()
    meter, waiting, committed_at = Meter(), deque(), time.monotonic()

    async def settle() -> None:
        tp, offset, futures, records = waiting.popleft()
        await asyncio.gather(*futures)
        meter.count(records)
        offsets[tp] = offset

    offsets: dict[TopicPartition, int] = {}
    read = 0
    while read < count:
        found = await consumer.getmany(timeout_ms=1000, max_records=BATCH)
        for tp, records in found.items():
            meter.begin()
            futures, builder = [], producer.create_batch()
            for r in records:
                headers = list(r.headers)
                if builder.append(key=r.key, value=r.value, timestamp=None, headers=headers) is None:
                    futures.append(await producer.send_batch(builder, OUT, partition=tp.partition))
                    builder = producer.create_batch()
                    builder.append(key=r.key, value=r.value, timestamp=None, headers=headers)
            futures.append(await producer.send_batch(builder, OUT, partition=tp.partition))
            waiting.append((tp, records[-1].offset + 1, futures, len(records)))
            read += len(records)
            while len(waiting) > IN_FLIGHT:
                await settle()
        if time.monotonic() - committed_at > COMMIT_EVERY_S and offsets:
            await consumer.commit(offsets)
            committed_at = time.monotonic()
    while waiting:
        await settle()
    await consumer.commit(offsets)
    meter.report()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
