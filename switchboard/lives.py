"""Notices that a broker has forgotten something, and tells everybody that it is another one now.

A broker without replicas keeps what it confirmed in the page cache: its own death costs nothing, the machine's may cost
the end of its log, and somebody may empty its folder. Its log then ends below what it had confirmed. From then on it
counts as new: a number, kept in the store, makes another incarnation of the same cluster, and other consumer groups.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from bus import admin
from bus.brokers import Broker
from bus.topics import TOPICS
from runtime.clock import Clock
from runtime.logs import get_logger
from runtime.tasks import TaskOwner
from schemas.errors import TemporaryError
from store import lives, outbox
from store.database import Database

EXAMINE_S = 10.0
LOOK_S = 1.0

OnLife = Callable[[str, str], Awaitable[None]]
"""Gets the address and the new incarnation."""

log = get_logger(__name__)


class BrokerLives:
    """Service, after the broker and the store. `durable`: replicas keep what was confirmed, so nothing is examined.

    Every process looks into the store for a new life; those that publish (`examines`) look at the broker's log.
    """

    name = "broker life"

    def __init__(self, broker: Broker, database: Database, clock: Clock, *, durable: bool, examines: bool) -> None:
        self._broker = broker
        self._database = database
        self._clock = clock
        self._watches = not durable and not broker.is_embedded
        self._examines = examines
        self._cluster = ""
        self._life = 1
        self._listeners: list[OnLife] = []
        self._telling = asyncio.Lock()
        self._examine_now = asyncio.Event()
        self._look_now = asyncio.Event()
        self._tasks = TaskOwner()

    @property
    def incarnation(self) -> str:
        return self._cluster if self._life == 1 else f"{self._cluster}#{self._life}"

    def group(self, base: str) -> str:
        """The consumer group of that name in this life: another life's offsets mean nothing in this one."""
        return base if self._life == 1 else f"{base}.{self._life}"

    def on_life(self, callback: OnLife) -> None:
        """Have `callback` awaited whenever the incarnation has changed."""
        self._listeners.append(callback)

    @property
    def awaits(self) -> str:
        """Both were there a moment ago."""
        return f"{self._database.place} and Kafka at {self._broker.address}" if self._watches else ""

    async def start(self) -> None:
        """Raises StoreUnavailable, BrokerUnavailable."""
        if not self._cluster:
            self._broker.on_restart(self._restarted)
        self._cluster = self._broker.incarnation
        if not self._watches:
            return
        self._life = await self._database.read(lambda conn: lives.current(conn, self._cluster))
        if self._examines:
            await self._examine()
            self._broker.on_return(self._returned)
            self._tasks.spawn("broker.examine", self._examining())
        self._database.on_commit(self._look_now.set, "broker_lives")
        self._tasks.spawn("broker.life", self._looking())

    async def drain(self) -> None:
        """Nothing to do."""

    async def stop(self) -> None:
        self._database.off_commit(self._look_now.set)
        await self._tasks.cancel_all(2.0)

    async def failed(self) -> BaseException:
        return (await self._tasks.wait_failed())[1]

    async def forgot(self, incarnation: str) -> None:
        """This incarnation has lost records: begin the next life, unless that has happened already."""
        if incarnation != self.incarnation:
            return
        cluster, life = self._cluster, self._life
        number = await self._database.write(lambda conn: lives.begin(conn, cluster, life, self._clock.now()))
        log.error("the broker has lost records that it had confirmed: they are published again", life=number)
        await self._become(cluster, number)

    async def _restarted(self, _address: str, incarnation: str) -> None:
        await self._become(incarnation, 1)

    async def _returned(self) -> None:
        self._examine_now.set()

    async def _become(self, cluster: str, life: int) -> None:
        async with self._telling:
            if (cluster, life) == (self._cluster, self._life):
                return
            self._cluster, self._life = cluster, life
            for callback in self._listeners:
                try:
                    await callback(self._broker.address, self.incarnation)
                except Exception:
                    log.exception("a client did not take the broker's new life")

    async def _looking(self) -> None:
        """Follow what another process has found out."""
        while True:
            await _either(self._look_now, LOOK_S)
            try:
                life = await self._database.look(lambda conn: lives.current(conn, self._cluster))
            except TemporaryError:
                continue
            if life > self._life:
                await self._become(self._cluster, life)
            await asyncio.sleep(LOOK_S)  # commits come by the hundred

    async def _examining(self) -> None:
        while True:
            await _either(self._examine_now, EXAMINE_S)
            try:
                await self._examine()
            except TemporaryError as error:
                log.debug("the broker's log could not be looked at", error=str(error))

    async def _examine(self) -> None:
        """Compare the ends of the log with what was confirmed."""
        incarnation = self.incarnation
        noted = await self._database.read(lambda conn: outbox.highest_offsets(conn, incarnation))
        cluster, ends = await admin.log_ends(self._broker.address, TOPICS)
        if not self._cluster.endswith(f":{cluster}"):
            kind = self._cluster.partition(":")[0]
            log.error("another cluster answers at the broker's address", cluster=cluster)
            life = await self._database.read(lambda conn: lives.current(conn, f"{kind}:{cluster}"))
            await self._become(f"{kind}:{cluster}", life)
        elif short := _short(noted, ends):
            log.warning("the broker's log ends below what it had confirmed", places=short)
            await self.forgot(incarnation)


def _short(noted: dict[tuple[str, int], int], ends: dict[tuple[str, int], int]) -> Sequence[str]:
    """The partitions whose log ends (next offset) at or below the highest offset that was confirmed."""
    return [
        f"{topic}/{partition}: ends at {ends.get((topic, partition), 0)}, confirmed {highest}"
        for (topic, partition), highest in sorted(noted.items())
        if ends.get((topic, partition), 0) <= highest
    ]


async def _either(event: asyncio.Event, timeout: float) -> None:
    """Until the event, or for so long; the event is cleared."""
    try:
        async with asyncio.timeout(timeout):
            await event.wait()
    except TimeoutError:
        pass
    event.clear()
