"""The Faust host, the default: batches of a partition in, confirmed decisions out, offsets committed after that.

Faust by itself acknowledges an event whose processing raised, so the loop below never lets an exception out, takes
events without automatic acknowledgement, and acknowledges each only after the broker has confirmed its results.
Only this module and `batch_transport` import Faust, and `_triage_agent` is the only place that makes an agent.
"""

import asyncio
import shutil
import tempfile
from collections import deque
from collections.abc import AsyncIterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import faust
from faust.types import StreamT

from bus.port import Sink
from bus.records import Outgoing, Place
from bus.safety import fetch_wait_ms
from bus.topics import INTERACTIONS
from router.hosts import batch_transport
from router.hosts.bus_host import GROUP
from router.hosts.publish import publish
from router.hosts.spans import Span
from router.hosts.triage import Triage
from runtime.backoff import backoff
from runtime.logs import get_logger
from runtime.pace import Pace
from runtime.tasks import TaskOwner
from schemas.errors import is_temporary

PAUSE_CAP_S = 5.0
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 15.0
COMMIT_EVERY_S = 0.5
GAP_S = 0.025
"""Between two batches when little is in each: for each of them the store is asked."""

log = get_logger(__name__)


class FaustHost:
    """A service that runs a Faust app in this process's own loop.

    What has arrived meanwhile is decided together, of all partitions. While one batch of a partition waits for its
    confirmation the next one is decided, but not written: a failed write is made again before anything that follows it,
    so that decisions keep the order of their partition.
    """

    def __init__(
        self,
        triage: Triage,
        sink: Sink,
        *,
        address: str,
        partitions: int,
        embedded: bool,
        batch_max: int = 1000,
        group: str = GROUP,
    ) -> None:
        self._triage = triage
        self._sink = sink
        self._address = address
        self._partitions = partitions
        self._embedded = embedded
        self._batch_max = batch_max
        self._group = group
        # Faust makes a folder for tables, which we do not have; by default in the current folder.
        self._scratch = Path(tempfile.mkdtemp(prefix="switchboard-faust-"))
        self._app: faust.App | None = None
        self._arrived: deque[Any] = deque()
        self._more, self._idle = asyncio.Event(), asyncio.Event()
        self._idle.set()
        self._pace = Pace(GAP_S)
        self._writing: dict[Place, asyncio.Task[None]] = {}
        self._tasks = TaskOwner()
        self._draining = asyncio.Event()
        self._started = self._stopped = False
        self.healthy = False
        self.paused = ""
        """Why nothing is decided at the moment, if we know: store or broker are away."""

    @property
    def name(self) -> str:
        return "router"

    @property
    def held(self) -> frozenset[Place]:
        """The partitions that are ours now."""
        if self._app is None:
            return frozenset()
        return frozenset((tp.topic, tp.partition) for tp in self._app.consumer.assignment())

    async def start(self) -> None:
        """Raises what Faust raises when the broker does not answer."""
        self._app = self._make_app()
        async with asyncio.timeout(START_TIMEOUT_S):
            await self._app.start()
        self._tasks.spawn("router.faust", self._crashed())
        self._tasks.spawn("router.decide", self._run(), forever=False)
        self.healthy = self._started = True

    async def drain(self) -> None:
        """Take no new batch; let those in work be confirmed, and commit them."""
        self._draining.set()  # what has arrived and is not decided is acknowledged by nobody: the next process reads it
        self._more.set()
        await self._idle.wait()
        if self._writing:
            await asyncio.wait(self._writing.values())
        if self._app is not None:
            await self._app.consumer.commit()

    async def stop(self) -> None:
        self._draining.set()
        self._stopped = True
        await self._tasks.cancel_all(1.0)
        if self._app is not None:
            self._app.consumer.let_go()
            try:
                # One that has not joined its group yet has nothing in hand, and takes long to notice.
                async with asyncio.timeout(STOP_TIMEOUT_S if self._started else 1.0):
                    await self._app.stop()
            except TimeoutError:
                log.warning("Faust did not stop in time")
        await self._sink.close()
        shutil.rmtree(self._scratch, ignore_errors=True)

    async def failed(self) -> BaseException:
        return (await self._tasks.wait_failed())[1]

    async def _crashed(self) -> None:
        """Faust notes a crash of any of its services on the app."""
        while True:
            await asyncio.sleep(0.5)  # mode has no public signal to wait for
            if self._app is not None and self._app.crashed:
                raise self._app.crash_reason or RuntimeError("the Faust app crashed")

    def _make_app(self) -> faust.App:
        batch_transport.register()
        app = faust.App(
            self._group,
            broker=f"{batch_transport.SCHEME}://{self._address}",
            store="memory://",
            datadir=str(self._scratch),
            processing_guarantee="at_least_once",
            topic_allow_declare=False,
            topic_disable_leader=True,
            topic_partitions=self._partitions,
            broker_session_timeout=3 if self._embedded else 10,
            broker_heartbeat_interval=0.5 if self._embedded else 3,
            broker_rebalance_timeout=3 if self._embedded else 60,
            broker_max_poll_records=self._batch_max,
            broker_commit_interval=COMMIT_EVERY_S,
            broker_check_crcs=True,
            stream_buffer_maxsize=1024,
            stream_wait_empty=True,
            consumer_auto_offset_reset="earliest",
            # Faust's own producer sends nothing of ours, but is started: kept to the safe settings all the same.
            producer_acks=-1,
            producer_request_timeout=30,
            web_enabled=False,
            worker_redirect_stdouts=False,
        )
        app.transport.fetch_max_wait_ms = fetch_wait_ms(embedded=self._embedded)
        schema = batch_transport.Batches(key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")
        self._triage_agent(app, app.topic(INTERACTIONS, schema=schema))
        return app

    def _triage_agent(self, app: faust.App, topic: Any) -> None:
        @app.agent(topic, concurrency=1, name="triage")
        async def triage(stream: StreamT[Any]) -> AsyncIterator[None]:
            async for event in stream.noack().events():
                self._arrived.append(event)
                self._more.set()
                yield

    async def _run(self) -> None:
        """Decide what has arrived: all of it together, so that what is looked up is looked up once."""
        while not self._draining.is_set():
            await self._more.wait()
            self._more.clear()
            await self._pace.wait()
            while self._arrived and not self._draining.is_set():
                self._pace.begin()
                self._idle.clear()
                await self._take(self._next())
                self._idle.set()

    def _next(self) -> list[Any]:
        """The oldest events, of about `batch_max` records."""
        taken, records = [self._arrived.popleft()], 0
        while self._arrived and (records := records + len(taken[-1].value.records)) < self._batch_max:
            taken.append(self._arrived.popleft())
        return taken

    async def _take(self, events: Sequence[Any]) -> None:
        """Decide events; write those of a partition as soon as what was before them there is confirmed."""
        decided = await self._decide([event.value for event in events])
        by_place: dict[Place, list[tuple[Any, list[Outgoing]]]] = {}
        for event in events:
            if (outgoing := decided.get(id(event.value))) is not None:
                by_place.setdefault(event.value.place, []).append((event, outgoing))
        if earlier := [self._writing[place] for place in by_place if place in self._writing]:
            await asyncio.wait(earlier)
        for place, pairs in by_place.items():
            name = f"router.write {place[1]}"
            self._writing[place] = self._tasks.spawn(name, self._write(pairs), forever=False)

    async def _decide(self, spans: Sequence[Span[Any]]) -> dict[int, list[Outgoing]]:
        """By the span's `id`. A partition that was lost while we waited for the store is left out."""
        attempt = 0
        while current := [span for span in spans if self._is_current(span)]:
            if attempt and self._draining.is_set():
                return {}  # the next process does it, when the store is there again
            try:
                made = iter(await self._triage.process([record for span in current for record in span.records]))
            except Exception as error:
                attempt = await self._pause(error, attempt)
            else:
                self._go_on()
                return {id(span): list(islice(made, len(span.records))) for span in current}
        self._wait_no_more(attempt)
        return {}

    async def _write(self, pairs: Sequence[tuple[Any, list[Outgoing]]]) -> None:
        """Events of one partition, in their order, each with its decisions."""
        attempt = 0
        while current := [(event, outgoing) for event, outgoing in pairs if self._is_current(event.value)]:
            owners = [event.value for event, _ in current for _ in event.value.records]
            records = [record for event, _ in current for record in event.value.records]
            made = [each for _, outgoing in current for each in outgoing]
            try:
                await publish(self._sink, self._triage, records, made, partial(self._is_wanted, owners))
            except Exception as error:
                attempt = await self._pause(error, attempt)
            else:
                self._go_on()
                for event, _ in current:
                    event.value.done = self._is_current(event.value)  # if not, some of it may be unwritten
                    event.ack()
                return
        self._wait_no_more(attempt)

    def _is_wanted(self, owners: Sequence[Span[Any]], number: int) -> bool:
        return self._is_current(owners[number])

    def _is_current(self, span: Span[Any]) -> bool:
        return not self._stopped and self._app is not None and self._app.consumer.is_current(span)

    async def _pause(self, error: Exception, attempt: int) -> int:
        """Wait, and try again; raise what no waiting mends: it ends the process."""
        if not is_temporary(error):
            self._tasks.spawn("router.fatal", _raise(error))
            await asyncio.Event().wait()  # acknowledge nothing: the next process reads it again
        self.healthy, self.paused = False, f"{type(error).__name__}: {error}"
        log.warning("paused", error=self.paused, attempt=attempt)
        await asyncio.sleep(backoff(attempt, 0.2, PAUSE_CAP_S))
        return attempt + 1

    def _go_on(self) -> None:
        self.healthy, self.paused = True, ""

    def _wait_no_more(self, attempt: int) -> None:
        """What we waited for was lost meanwhile: whoever looks whether we are stuck must not take us for paused."""
        if attempt:
            self._go_on()


async def _raise(error: Exception) -> None:
    raise error
