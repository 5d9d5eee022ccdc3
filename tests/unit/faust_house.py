"""A Faust host without a broker: all but the broker is real.

In place of aiokafka's thread stands a `Thread` that notes what it is told to commit.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import faust
from aiokafka import ConsumerRecord
from faust.types.tuples import TP

from bus.records import Confirmed, Failed, Outcome, Outgoing
from bus.topics import INTERACTIONS
from router.hosts.batch_transport import BatchConsumer
from router.hosts.faust_host import FaustHost
from router.hosts.spans import Span
from router.hosts.triage import Triage
from runtime.clock import SystemClock
from schemas.errors import BrokerUnavailable
from tests.contract.host_contract import Blobs, Lookup, interaction, record

P, Q = TP(INTERACTIONS, 0), TP(INTERACTIONS, 1)


@dataclass
class R:
    offset: int
    timestamp: int = 0
    timestamp_type: int = 0


def records(first: int, last: int) -> list[R]:
    return [R(offset) for offset in range(first, last + 1)]


def fetched(offset: int) -> Any:
    """An interaction as aiokafka gives it."""
    sent = record(interaction(offset + 1))
    return ConsumerRecord(
        *(INTERACTIONS, 0, offset, 0, 0, str(sent.key).encode(), sent.value),
        *(None, 0, 0, sent.headers),
    )


async def until(true: Callable[[], bool]) -> None:
    """Turns of the loop, none of which waits for anything outside."""
    for _ in range(10_000):
        if true():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never came to that")


@dataclass
class Thread:
    """Where the broker would be."""

    held: set[TP]
    committed: dict[TP, int] = field(default_factory=dict)
    sought: dict[TP, int] = field(default_factory=dict)
    rewound: int = 0

    def assignment(self) -> set[TP]:
        return self.held

    def highwater(self, tp: TP) -> int:
        return 100

    def seek(self, tp: TP, offset: int) -> None:
        self.sought[tp] = offset

    async def call_thread(self, method: Callable[[], Awaitable[Any]]) -> Any:
        return await method()

    async def rewind(self) -> dict[TP, int | None]:
        self.rewound += 1
        return {tp: self.committed.get(tp) for tp in self.held}

    async def commit(self, offsets: Mapping[TP, int]) -> bool:
        self.committed |= offsets
        return True


class Noting:
    """A sink that notes what it is asked to write, and what of it it has confirmed."""

    def __init__(self) -> None:
        self.asked: list[list[Outgoing]] = []
        self.written: list[Outgoing] = []
        self.open = asyncio.Event()
        """Until then a write waits."""
        self.open.set()
        self.fails = 0
        """So many writes are not confirmed."""
        self.away = False

    async def write(self, records: Sequence[Outgoing]) -> list[Outcome]:
        self.asked.append(list(records))
        await self.open.wait()
        if self.away:
            raise BrokerUnavailable("away for a minute")
        if self.fails:
            self.fails -= 1
            return [Failed("as told") for _ in records]
        self.written += records
        return [Confirmed(0, len(self.written)) for _ in records]

    async def close(self) -> None:
        return None


class House:
    """A host whose app has not started, its consumer, and what that one has handed over."""

    def __init__(self) -> None:
        self.sink, self.lookup = Noting(), Lookup()
        triage = Triage(self.lookup, Blobs(), SystemClock())
        self.host = FaustHost(triage, self.sink, address="127.0.0.1:1", partitions=3, embedded=True)
        app = self.host._app = self.host._make_app()
        self.app: Any = app
        [agent] = app.agents.values()
        app.topics.add(agent.channel)
        self.messages: list[Any] = []
        self.meanwhile: Callable[[], Awaitable[None]] | None = None
        """What happens while a message is handed over."""
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
        if self.meanwhile is not None:
            await self.meanwhile()

    async def _assigned(self, assigned: set[TP], generation: int) -> None:
        self.consumer.resume_flow()

    async def deliver(self, tp: TP, first: int, last: int) -> Any:
        moves = self.consumer._moves
        assert await self.consumer._deliver({tp: records(first, last)}, None, moves)
        return self.messages[-1]

    async def event(self, *fetched: Any) -> Any:
        """Of P, as the agent takes it."""
        assert await self.consumer._deliver({P: list(fetched)}, None, self.consumer._moves)
        return self.event_of(self.messages[-1])

    def event_of(self, message: Any) -> Any:
        return faust.Event(self.app, None, message.value, {}, message)

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
