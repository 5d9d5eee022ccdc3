"""A pump as a process needs it: it follows the broker to its next life, and is noticed when it has gone deaf."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from bus.brokers import Broker
from bus.kafka import KafkaSource
from bus.positions import positions
from bus.pump import Pump
from bus.reconnect import MovableSource
from bus.records import Batch
from router.hosts.watchdog import Positions, Watchdog
from switchboard.lives import BrokerLives

LOOK_EVERY_S = 15.0
"""Each look asks the broker about every partition."""


class WatchedPump:
    """Service around a `Pump`. To be made when the broker's address is known. A source that reads or commits nothing
    although there is something to do, as a client of Kafka may without a word, is left for a new one."""

    def __init__(
        self,
        name: str,
        group: str,
        topics: Sequence[str],
        handle: Callable[[Batch], Awaitable[None]],
        *,
        broker: Broker,
        lives: BrokerLives,
        partitions: int,
        look_every_s: float = LOOK_EVERY_S,
        stuck_after_s: float,
    ) -> None:
        self.name = name
        self._group, self._topics, self._partitions = group, topics, partitions
        self._broker, self._lives = broker, lives
        self._source = MovableSource(self._open, broker.address)
        lives.on_life(self._move)
        self._pump = Pump(name, self._source, handle)
        self._watchdog = Watchdog(
            self._pump,
            self._positions,
            stuck_after_s=stuck_after_s,
            look_every_s=look_every_s,
            stuck=lambda: self._source.move(broker.address),
        )

    @property
    def healthy(self) -> bool:
        return self._pump.healthy

    async def start(self) -> None:
        await self._pump.start()
        await self._watchdog.start()

    async def drain(self) -> None:
        await self._watchdog.drain()
        await self._pump.drain()

    async def stop(self) -> None:
        await self._watchdog.stop()
        await self._pump.stop()

    async def failed(self) -> BaseException:
        name = f"{self.name}.failed"
        tasks = [asyncio.create_task(each.failed(), name=name) for each in (self._pump, self._watchdog)]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            return done.pop().result()
        finally:
            for task in tasks:
                task.cancel()

    def _open(self, address: str) -> KafkaSource:
        group = self._lives.group(self._group)
        return KafkaSource(address, group, self._topics, embedded=self._broker.is_embedded)

    async def _move(self, address: str, _incarnation: str) -> None:
        self._source.move(address)

    async def _positions(self) -> Positions:
        return await positions(
            self._broker.address,
            self._lives.group(self._group),
            self._topics,
            partitions=self._partitions,
            embedded=self._broker.is_embedded,
        )
