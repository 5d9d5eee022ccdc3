"""Faust as its documents show it, one event at a time, with what helps: uvloop, linger, batches, quiet logs."""

import asyncio
import logging
import sys

import faust
import uvloop

from tests.bench.hosts.meter import BATCH, BATCH_BYTES, COMMIT_EVERY_S, IN, OUT, Meter

ADDRESS, GROUP, COUNT = sys.argv[1], sys.argv[2], int(sys.argv[3])


async def main() -> None:
    app = faust.App(
        GROUP, broker=f"kafka://{ADDRESS}", store="memory://", topic_allow_declare=False, topic_disable_leader=True,
        topic_partitions=4, broker_max_poll_records=BATCH, broker_commit_interval=COMMIT_EVERY_S,
        stream_buffer_maxsize=16384, producer_acks=-1, producer_linger=0.005, producer_max_batch_size=BATCH_BYTES,
        consumer_auto_offset_reset="earliest", web_enabled=False, worker_redirect_stdouts=False,
        datadir="/tmp/faust-bench",
    )  # fmt: skip
    raw = {"key_type": bytes, "value_type": bytes, "key_serializer": "raw", "value_serializer": "raw"}
    source, target = app.topic(IN, **raw), app.topic(OUT, **raw)
    meter, enough = Meter(), asyncio.Event()

    @app.agent(source)
    async def copy(stream):  # type: ignore[no-untyped-def]
        async for event in stream.events():
            meter.begin()
            await target.send(key=event.key, value=event.value, headers=event.headers)
            meter.count(1)
            if meter.done >= COUNT:
                enough.set()
            yield event

    await app.start()
    await enough.wait()
    await app.producer.flush()
    await app.consumer.commit()
    meter.report()


if __name__ == "__main__":
    for name in ("aiokafka", "faust", "mode"):
        logging.getLogger(name).setLevel(logging.WARNING)
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    asyncio.run(main())
