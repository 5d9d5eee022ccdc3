"""The Faust host's own consumer through rebalances and seeks: all but the broker is real.

In place of aiokafka's thread stands a `Thread` that notes what it is told to commit.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import faust
import pytest
from faust.types.tuples import TP

from bus.records import Confirmed, Outcome, Outgoing
from bus.topics import DECISIONS, INTERACTIONS
from router.hosts.batch_transport import BatchConsumer
from router.hosts.faust_host import FaustHost
from router.hosts.spans import Span
from router.hosts.triage import Triage
from runtime.clock import SystemClock
from tests.contract.host_contract import Blobs, Lookup

P, Q = TP(INTERACTIONS, 0), TP(INTERACTIONS, 1)


@dataclass
class R:
    offset: int
    timestamp: int = 0
    timestamp_type: int = 0


def records(first: int, last: int) -> list[R]:
    return [R(offset) for offset in range(first, last + 1)]


@dataclass
class Thread:
    """Where the broker would be."""

    held: set[TP]
    committed: dict[TP, int] = field(default_factory=dict)
    sought: dict[TP, int] = field(default_factory=dict)

    def assignment(self) -> set[TP]:
        return self.held

    def highwater(self, tp: TP) -> int:
        return 100

    def seek(self, tp: TP, offset: int) -> None:
        self.sought[tp] = offset

    async def commit(self, offsets: Mapping[TP, int]) -> bool:
        self.committed |= offsets
        return True


class Noting:
    """A sink that confirms everything, and notes what that was."""

    def __init__(self) -> None:
        self.written: list[Outgoing] = []

    async def write(self, records: Sequence[Outgoing]) -> list[Outcome]:
        self.written += records
        return [Confirmed(0, len(self.written)) for _ in records]

    async def close(self) -> None:
        return None


class House:
    """A host whose app has not started, its consumer, and what that one has handed over."""

    def __init__(self) -> None:
        self.sink = Noting()
        triage = Triage(Lookup(), Blobs(), SystemClock())
        self.host = FaustHost(triage, self.sink, address="127.0.0.1:1", partitions=3, embedded=True)
        app = self.host._app = self.host._make_app()
        self.app: Any = app
        [agent] = app.agents.values()
        app.topics.add(agent.channel)
        self.messages: list[Any] = []
        self.consumer: BatchConsumer = app.transport.create_consumer(
            callback=self._take,
            on_partitions_revoked=app._on_partitions_revoked,
            on_partitions_assigned=self._assigned,
        )
        app.consumer = self.consumer
        self.consumer._thread.thread_loop.close()  # it has made one, and would close it at its end
        self.thread = Thread({P, Q})
        self.consumer._thread = self.thread
        self.consumer._set_active_tps({P, Q})

    async def _take(self, message: Any) -> None:
        """As Faust's conductor does."""
        message.incref(1)
        self.consumer.track_message(message)
        self.messages.append(message)

    async def _assigned(self, assigned: set[TP], generation: int) -> None:
        self.consumer.resume_flow()

    async def deliver(self, tp: TP, first: int, last: int) -> Any:
        moves = self.consumer._moves
        assert await self.consumer._deliver({tp: records(first, last)}, None, moves)
        return self.messages[-1]

    def finish(self, message: Any) -> None:
        message.value.done = True
        message.ack(self.consumer)

    async def revoke(self, tp: TP) -> None:
        """What is in work is given up, as at the end of the wait."""
        revoking = asyncio.create_task(self.consumer.on_partitions_revoked({tp}))
        while self.consumer._unacked_messages:
            self.consumer.let_go()
            await asyncio.sleep(0)
        await revoking

    def is_current(self, message: Any) -> bool:
        span: Span[Any] = message.value
        return self.consumer.is_current(span)


@pytest.fixture
async def house() -> AsyncIterator[House]:
    house = House()
    yield house
    await house.host.stop()


async def test_the_late_end_of_a_lost_batch_commits_nothing_that_was_never_done(house: House) -> None:
    """Two batches in flight, revoked, assigned again, read again as one; then the second's end comes."""
    await house.deliver(P, 0, 9)
    second = await house.deliver(P, 10, 19)
    await house.revoke(P)
    await house.consumer.on_partitions_assigned({P, Q})
    again = await house.deliver(P, 0, 19)
    house.finish(second)
    await house.consumer.commit()
    assert house.thread.committed == {}
    house.finish(again)
    await house.consumer.commit()
    assert house.thread.committed == {P: 20}


async def test_what_was_delivered_is_nobodys_from_the_revocation_on(house: House) -> None:
    lost, kept = await house.deliver(P, 0, 9), await house.deliver(Q, 0, 9)
    await house.revoke(P)
    assert not house.is_current(lost)
    assert house.is_current(kept)


async def test_what_slipped_in_before_the_assignment_counts_for_nothing_after_it(house: House) -> None:
    early = await house.deliver(P, 10, 19)
    await house.consumer.on_partitions_assigned({P, Q})
    again = await house.deliver(P, 0, 19)
    house.finish(early)
    await house.consumer.commit()
    assert house.thread.committed == {}
    assert not house.is_current(early)
    assert house.is_current(again)


async def test_what_was_delivered_before_a_seek_counts_for_nothing_after_it(house: House) -> None:
    await house.deliver(P, 0, 9)
    second, kept = await house.deliver(P, 10, 19), await house.deliver(Q, 0, 9)
    await house.consumer.seek(P, 0)
    assert house.thread.sought == {P: 0}
    assert not house.is_current(second)
    again = await house.deliver(P, 0, 19)
    house.finish(second)
    house.finish(kept)
    await house.consumer.commit()
    assert house.thread.committed == {Q: 10}
    house.finish(again)
    await house.consumer.commit()
    assert house.thread.committed == {P: 20, Q: 10}


async def test_a_revocation_waits_for_what_is_in_work_and_commits_it(house: House) -> None:
    message = await house.deliver(P, 0, 9)
    revoking = asyncio.create_task(house.consumer.on_partitions_revoked({P}))
    while house.consumer._waiting_for_ack is None and not revoking.done():
        await asyncio.sleep(0)
    assert not revoking.done(), "the batch is in work"
    house.finish(message)
    await revoking
    assert house.thread.committed == {P: 10}


async def test_nothing_is_written_for_a_partition_that_was_lost(house: House) -> None:
    lost, kept = await house.deliver(P, 0, 0), await house.deliver(Q, 0, 0)
    first, second = (Outgoing(DECISIONS, conversation, b"{}", ()) for conversation in ("c1", "c2"))
    await house.revoke(P)
    for message, outgoing in ((lost, first), (kept, second)):
        event = faust.Event(house.app, None, message.value, {}, message)
        await house.host._write([(event, [outgoing])])
    assert house.sink.written == [second]
    assert (lost.value.done, kept.value.done) == (False, True)
