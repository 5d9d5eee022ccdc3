"""What every process of an installation shares: configuration, store, clock, metrics."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from bus.topics import partition_for
from rules.policy import compile_policy
from runtime.clock import Clock, SystemClock
from runtime.logs import get_logger
from runtime.metrics import Metrics
from store import policies, schema
from store.database import Database
from store.store import Store, open_store
from switchboard.lock import FolderLock
from switchboard.settings import Configuration

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Base:
    configuration: Configuration
    store: Store
    clock: Clock
    metrics: Metrics

    @property
    def database(self) -> Database:
        return self.store.database


def make_base(configuration: Configuration, *, read_only: bool = False) -> Base:
    """Nothing is connected yet."""
    settings = configuration.settings
    if not read_only:
        configuration.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    store = open_store(
        settings.store,
        settings.blobs,
        configuration.data_dir,
        shard_of=shard_of(settings.kafka.partitions),
        reference=configuration.policy.conversations.reference,
        reopen_within=configuration.policy.conversations.reopen_within,
        read_only=read_only,
    )
    return Base(configuration, store, SystemClock(), Metrics())


def shard_of(partitions: int) -> Callable[[str], int]:
    return lambda key: partition_for(key, partitions)


@asynccontextmanager
async def opened(configuration: Configuration, *, read_only: bool = False) -> AsyncIterator[Base]:
    """A store for one short command. Raises StoreUnavailable, ConfigError when it has not been migrated."""
    base = make_base(configuration, read_only=read_only)
    async with base.database:
        await schema.check(base.database)
        yield base


class StoreService:
    """The store as the first service to start and the last to stop: migrated, with a policy active.

    The only process of an installation (`whole`) makes its configuration's policy the active one. One of several does
    so only with a policy that the store has not seen: one that starts anew must not undo what came after it.
    """

    name = "store"

    def __init__(self, base: Base, *, whole: bool = True) -> None:
        self._base = base
        self._whole = whole
        self._lock = FolderLock(base.configuration.data_dir)
        self._prepared = self._open = False

    @property
    def awaits(self) -> str:
        """A server may come later than we do; a file is there, or is made."""
        return "" if self._base.database.is_sqlite else self._base.database.place

    async def start(self) -> None:
        """Raises StoreUnavailable, and ConfigError for what no waiting mends."""
        policy, now = self._base.configuration.policy, self._base.clock.now()
        if not self._prepared:
            if self._base.database.is_sqlite:
                self._lock.acquire()
            await asyncio.to_thread(compile_policy, policy)  # what cannot be made ready never becomes the active one
            self._prepared = True
        if not self._open:
            await self._base.database.start()
            self._open = True
        await schema.upgrade(self._base.database)
        body = policy.to_json()
        if self._whole:
            await self._base.database.write(lambda conn: policies.activate(conn, policy.version, body, now))
            return
        active = await self._base.database.write(lambda conn: policies.introduce(conn, policy.version, body, now))
        if active != policy.version:
            log.warning(
                "another policy than this configuration's is active: `switchboard rules publish` changes that",
                active=active,
                configured=policy.version,
            )

    async def drain(self) -> None:
        """Nothing to do: the others use it until they stop."""

    async def stop(self) -> None:
        await self._base.database.stop()
        self._lock.release()
