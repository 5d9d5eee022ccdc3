"""The relay: what the outbox holds goes to Kafka, in order within each conversation, until it is confirmed."""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from bus.port import Sink
from bus.records import Confirmed, Failed, Outcome, Outgoing, Refused
from runtime.backoff import backoff
from runtime.clock import Clock, SystemClock
from runtime.logs import get_logger
from runtime.metrics import Metrics
from runtime.pace import Pace
from runtime.tasks import TaskOwner
from schemas.errors import is_temporary
from schemas.outbox import OutboxRow as OutboxRow

_IDLE_S = 0.5
_GAP_S = 0.025
"""Between the beginnings of two passes: rows that come together are published together."""
_CALL_TIMEOUT_S = 30.0
_BACKOFF_BASE_S = 0.05
_BACKOFF_CAP_S = 2.0

log = get_logger(__name__)


class Outbox(Protocol):
    """What the relay needs of the store. Errors are temporary ones: the relay backs off and asks again."""

    async def lease(self, owner: str, want: int | None, ttl_s: float) -> dict[int, int]:
        """Take or renew shards for `owner` for `ttl_s` seconds: its fair share of them, at most `want`.

        Gives shard -> epoch for all that the owner holds now. A shard's epoch grows with each new owner.
        """
        ...

    async def release(self, owner: str) -> None:
        """Give all shards of `owner` back."""
        ...

    async def pending(self, shards: Mapping[int, int], incarnation: str, limit: int) -> list[OutboxRow]:
        """The first rows of these shards that are unpublished in this incarnation, by id within a shard."""
        ...

    async def confirmed(
        self, shards: Mapping[int, int], incarnation: str, rows: Sequence[tuple[OutboxRow, int, int]]
    ) -> None:
        """Note (row, partition, offset) as published in this incarnation. Rows of a lost epoch are ignored."""
        ...

    async def refused(self, shards: Mapping[int, int], row: OutboxRow, reason: str) -> None:
        """The broker will never take this row: it becomes a dead letter, and the next one goes on."""
        ...

    def wake(self) -> asyncio.Event:
        """Set whenever something was written."""
        ...


_Lane = tuple[str, str]
"""Topic and key: what keeps an order."""


class Relay:
    """Service: publishes what the outbox holds.

    Of one lane (topic and key) at most one row is under way at a time, and the next follows only after its
    confirmation; so no failure lets a row go around an earlier one, and no lane waits for another.
    A row may be published twice (a confirmation lost, a lease taken over): readers know its event id.
    """

    def __init__(
        self,
        outbox: Outbox,
        open_sink: Callable[[str], Sink],
        address: str,
        incarnation: str,
        *,
        owner: str,
        metrics: Metrics,
        shards: int | None = None,
        batch: int = 500,
        lease_ttl_s: float = 10.0,
        clock: Clock | None = None,
    ) -> None:
        self.name = "relay"
        self._outbox, self._open_sink = outbox, open_sink
        self._target = (address, incarnation)
        self._sink: Sink | None = None
        self._owner, self._want, self._batch, self._ttl_s = owner, shards, batch, lease_ttl_s
        self._clock: Clock = clock or SystemClock()
        self._leased: dict[int, int] = {}
        self._renewed = float("-inf")
        self._pace = Pace(_GAP_S)
        self._blocked: dict[_Lane | int, tuple[int, float]] = {}
        self._tasks = TaskOwner()
        self._leaving = TaskOwner()
        self._draining = False
        self.healthy = False
        """False while the store or the broker is away, or nothing could be looked at yet: what readiness reports."""
        self._empty = asyncio.Event()
        self._published = metrics.counter("relay_published", "Rows confirmed by the broker.", ["topic"])
        self._failures = metrics.counter("relay_failures", "Attempts not confirmed.", ["topic"])
        self._refusals = metrics.counter("relay_refusals", "Rows refused for good.", ["topic"])

    async def start(self) -> None:
        """Begin. The broker need not be there yet."""
        self._sink = self._open_sink(self._target[0])
        self._tasks.spawn("relay.publish", self._run())

    async def reconnect(self, address: str, incarnation: str) -> None:
        """The broker is back elsewhere: what it has not seen in this incarnation is published again."""
        self._target = (address, incarnation)
        old, self._sink = self._sink, self._open_sink(address)
        self._blocked.clear()
        self._outbox.wake().set()
        if old is not None:
            # Aside: a dead broker's producer takes seconds to leave. What is in hand fails at once.
            self._leaving.spawn("relay.leaving", old.close(), forever=False)

    async def drain(self) -> None:
        """Publish what is there. Returns when nothing is pending; may take for ever if the broker is away."""
        self._empty.clear()
        self._draining = True
        self._outbox.wake().set()
        await self._empty.wait()

    async def stop(self) -> None:
        await self._tasks.cancel_all(2.0)
        if self._sink is not None:
            await self._sink.close()
        await self._leaving.finish(2.0)
        try:
            async with asyncio.timeout(2.0):
                await self._outbox.release(self._owner)
        except Exception as error:  # the lease runs out by itself
            log.debug("lease not released", error=repr(error))

    async def failed(self) -> BaseException:
        return (await self._tasks.wait_failed())[1]

    async def _run(self) -> None:
        attempt = 0
        while True:
            await self._pace.wait()
            wake = self._outbox.wake()
            wake.clear()
            try:
                seen = await self.publish_pending()
                attempt = 0
            except Exception as error:
                if not is_temporary(error):
                    raise
                self.healthy = False
                log.warning("the relay waits for the store", error=repr(error), attempt=attempt)
                await asyncio.sleep(backoff(attempt, _BACKOFF_BASE_S, _BACKOFF_CAP_S))
                attempt += 1
                continue
            if seen:
                continue
            if self._draining and not self._blocked:
                self._empty.set()
            await self._rest(wake)

    async def _rest(self, wake: asyncio.Event) -> None:
        """Sleep until something is written, a blocked lane may go on, or a lease wants renewal."""
        now = self._clock.monotonic()
        soonest = min((until - now for _, until in self._blocked.values()), default=_IDLE_S)
        try:
            async with asyncio.timeout(min(max(soonest, 0.005), _IDLE_S)):
                await wake.wait()
        except TimeoutError:
            return

    async def publish_pending(self) -> bool:
        """One pass. True if there was more than it could read, or it is better to look once more."""
        target, sink = self._target, self._sink
        assert sink is not None, "start() comes first"
        await self._renew()
        held = dict(self._leased)
        due = {what for what in self._blocked if not self._is_blocked(what)}
        open_shards = {s: e for s, e in held.items() if s in due or s not in self._blocked}
        rows: list[OutboxRow] = []
        if open_shards:
            async with asyncio.timeout(_CALL_TIMEOUT_S):
                rows = await self._outbox.pending(open_shards, target[1], self._batch)
        if rows:
            self._pace.begin()
        lanes = self._lanes(rows)
        settled = 0
        failed: set[_Lane] = set()
        stuck: set[int] = set()
        moved: set[int] = set()
        while lanes and self._target == target:
            wave = [lane[0] for lane in lanes.values()]
            outcomes = await sink.write([_outgoing(row) for row in wave])
            # Under the epochs of when it was read and sent: if a shard has moved on meanwhile, this counts no more.
            settled += await self._settle(held, target[1], wave, outcomes)
            for row, outcome in zip(wave, outcomes, strict=True):
                lane = (row.topic, row.key)
                if isinstance(outcome, Failed):
                    if self._target == target:
                        self._block(lane)
                        failed.add(lane)
                        stuck.add(row.shard)
                    del lanes[lane]
                    continue
                moved.add(row.shard)
                self._blocked.pop(lane, None)
                lanes[lane].popleft()
                if not lanes[lane]:
                    del lanes[lane]
            await self._renew()
            lost = {shard for shard, epoch in held.items() if self._leased.get(shard) != epoch}
            lanes = {lane: rows for lane, rows in lanes.items() if rows[0].shard not in lost}
        stuck -= moved
        # Whatever was due and has not failed again has gone through, or is no more.
        for what in due - failed - stuck:
            self._blocked.pop(what, None)
        self._block_shards(stuck, moved)
        if settled or not (rows or self._blocked):
            self.healthy = True
        elif failed:
            self.healthy = False
        return settled > 0 and (self._draining or len(rows) >= self._batch or self._target != target)

    def _lanes(self, rows: Iterable[OutboxRow]) -> dict[_Lane, deque[OutboxRow]]:
        lanes: dict[_Lane, deque[OutboxRow]] = {}
        # Looked at once: a lane that comes free half way through would begin with a row from its middle.
        blocked = {what for what in self._blocked if self._is_blocked(what)}
        for row in sorted(rows, key=lambda row: row.position):
            lane = (row.topic, row.key)
            if row.shard in self._leased and lane not in blocked:
                lanes.setdefault(lane, deque()).append(row)
        return lanes

    async def _settle(
        self, held: Mapping[int, int], incarnation: str, wave: Sequence[OutboxRow], outcomes: Sequence[Outcome]
    ) -> int:
        """Write the outcomes down before any lane goes on. Gives how many rows are done with."""
        done: list[tuple[OutboxRow, int, int]] = []
        refused: list[tuple[OutboxRow, str]] = []
        failed: Counter[tuple[str, str]] = Counter()
        for row, outcome in zip(wave, outcomes, strict=True):
            match outcome:
                case Confirmed(partition, offset):
                    done.append((row, partition, offset))
                    self._published.labels(row.topic).inc()
                case Refused(reason):
                    refused.append((row, reason))
                    self._refusals.labels(row.topic).inc()
                case Failed(reason):
                    self._failures.labels(row.topic).inc()
                    failed[row.topic, reason] += 1
        for (topic, reason), rows in failed.items():  # a broker that is away fails thousands for one reason
            log.warning("not confirmed", topic=topic, rows=rows, reason=reason)
        async with asyncio.timeout(_CALL_TIMEOUT_S):
            if done:
                await self._outbox.confirmed(held, incarnation, done)
            for row, reason in refused:
                log.error("refused for good", topic=row.topic, event_id=row.event_id, reason=reason)
                await self._outbox.refused(held, row, reason)
        return len(done) + len(refused)

    async def _renew(self) -> None:
        now = self._clock.monotonic()
        if now - self._renewed < (self._ttl_s / 3 if self._leased else min(_IDLE_S, self._ttl_s / 3)):
            return
        try:
            async with asyncio.timeout(self._ttl_s / 3):
                self._leased = await self._outbox.lease(self._owner, self._want, self._ttl_s)
            self._renewed = now
        except Exception:
            if now - self._renewed >= self._ttl_s * 2 / 3:
                self._leased = {}  # another relay may have them by now
            raise

    def _is_blocked(self, what: _Lane | int) -> bool:
        return what in self._blocked and self._blocked[what][1] > self._clock.monotonic()

    def _block(self, what: _Lane | int) -> None:
        attempt = self._blocked[what][0] + 1 if what in self._blocked else 0
        wait = backoff(attempt, _BACKOFF_BASE_S, _BACKOFF_CAP_S)
        self._blocked[what] = (attempt, self._clock.monotonic() + wait)

    def _block_shards(self, stuck: set[int], moved: set[int]) -> None:
        """A shard in which nothing at all goes through would fill every read: it is left out for a while."""
        for shard in stuck:
            self._block(shard)
        for shard in moved:
            self._blocked.pop(shard, None)


def _outgoing(row: OutboxRow) -> Outgoing:
    return Outgoing(row.topic, row.key, row.value, row.headers)
