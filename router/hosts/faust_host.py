"""The Faust host, the default: one event at a time, simple and right.

Faust by itself acknowledges an event whose processing raised, so the loop below never lets an exception out, takes
events without automatic acknowledgement, and acknowledges each only after the broker has confirmed its result.
This is the only module that imports Faust, and `_triage_agent` the only place that makes an agent.
"""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import faust
from faust.types import StreamT

from bus.port import Sink
from bus.records import Record
from bus.topics import INTERACTIONS
from router.hosts.bus_host import GROUP
from router.hosts.publish import publish
from router.hosts.triage import Triage
from runtime.backoff import backoff
from runtime.logs import get_logger
from schemas.errors import is_temporary

PAUSE_CAP_S = 5.0

log = get_logger(__name__)


class FaustHost:
    """A service that runs a Faust app in this process's own loop."""

    def __init__(self, triage: Triage, sink: Sink, *, address: str, partitions: int, embedded: bool) -> None:
        self._triage = triage
        self._sink = sink
        self._address = address
        self._partitions = partitions
        self._embedded = embedded
        # Faust makes a folder for tables, which we do not have; by default in the current folder.
        self._scratch = Path(tempfile.mkdtemp(prefix="switchboard-faust-"))
        self._app: faust.App | None = None
        self._died: asyncio.Future[BaseException] | None = None
        self.healthy = False

    @property
    def name(self) -> str:
        return "router"

    async def start(self) -> None:
        """Raises what Faust raises when the broker does not answer."""
        self._died = asyncio.get_running_loop().create_future()
        self._app = self._make_app()
        async with asyncio.timeout(60):
            await self._app.start()
        self.healthy = True

    async def drain(self) -> None:
        """Nothing to do apart: an event in hand that is not confirmed is read again by the next process."""

    async def stop(self) -> None:
        if self._app is not None:
            try:
                async with asyncio.timeout(10):
                    await self._app.stop()
            except TimeoutError:
                log.warning("Faust did not stop in time")
        await self._sink.close()
        shutil.rmtree(self._scratch, ignore_errors=True)

    async def failed(self) -> BaseException:
        assert self._died is not None, "start first"
        watch = asyncio.ensure_future(self._crashed())
        try:
            done, _ = await asyncio.wait({watch, self._died}, return_when=asyncio.FIRST_COMPLETED)
            return next(iter(done)).result()
        finally:
            watch.cancel()

    async def _crashed(self) -> BaseException:
        """Faust notes a crash of any of its services on the app."""
        while True:
            await asyncio.sleep(0.5)  # mode has no public signal to wait for
            if self._app is not None and self._app.crashed:
                return self._app.crash_reason or RuntimeError("the Faust app crashed")

    def _make_app(self) -> faust.App:
        app = faust.App(
            GROUP,
            broker=f"kafka://{self._address}",
            store="memory://",
            datadir=str(self._scratch),
            processing_guarantee="at_least_once",
            topic_allow_declare=False,
            topic_disable_leader=True,
            topic_partitions=self._partitions,
            broker_session_timeout=6 if self._embedded else 30,
            broker_heartbeat_interval=1 if self._embedded else 3,
            broker_rebalance_timeout=6 if self._embedded else 60,
            broker_max_poll_records=500,
            broker_commit_interval=0.5,
            broker_check_crcs=True,
            stream_buffer_maxsize=1024,
            stream_wait_empty=False,
            consumer_auto_offset_reset="earliest",
            producer_acks=-1,
            producer_request_timeout=30,
            web_enabled=False,
            worker_redirect_stdouts=False,
        )
        topic = app.topic(INTERACTIONS, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")
        self._triage_agent(app, topic)
        return app

    def _triage_agent(self, app: faust.App, topic: Any) -> None:
        @app.agent(topic, concurrency=1, name="triage")
        async def triage(stream: StreamT[bytes]) -> AsyncIterator[None]:
            async for event in stream.noack().events():
                await self._settle(_record(event.message))
                event.ack()
                yield

    async def _settle(self, record: Record) -> None:
        """Decide and publish, again and again while the trouble may pass; anything else ends the process."""
        attempt = 0
        while True:
            try:
                outgoing = await self._triage.process([record])
                await publish(self._sink, self._triage, [record], outgoing)
            except Exception as error:
                if not is_temporary(error):
                    self._die(error)
                    await asyncio.Event().wait()  # acknowledge nothing: the next process reads it again
                self.healthy = False
                log.warning("paused", error=f"{type(error).__name__}: {error}", attempt=attempt)
                await asyncio.sleep(backoff(attempt, 0.2, PAUSE_CAP_S))
                attempt += 1
            else:
                self.healthy = True
                return

    def _die(self, error: BaseException) -> None:
        if self._died is not None and not self._died.done():
            self._died.set_result(error)


def _record(message: Any) -> Record:
    headers = message.headers
    if isinstance(headers, dict):
        headers = headers.items()
    return Record(
        message.topic,
        message.partition,
        message.offset,
        message.key,
        message.value,
        tuple((name, value or b"") for name, value in headers or ()),  # a header may be null
        int((message.timestamp or 0) * 1000),
    )
