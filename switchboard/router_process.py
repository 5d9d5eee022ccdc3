"""The router's own process: a host around the pure core. It reads the store and writes nothing but records."""

import asyncio
import logging
import os
from typing import NoReturn

import uvloop

from bus.kafka import KafkaSink, KafkaSource
from bus.positions import positions
from bus.topics import INTERACTIONS
from router.hosts.bus_host import GROUP, BusHost
from router.hosts.faust_host import FaustHost
from router.hosts.lookup import StoreLookup
from router.hosts.triage import Triage
from router.hosts.watchdog import Host, Watchdog
from runtime.collector import tune_collector
from runtime.lifecycle import Lifecycle, Service, stop_on_signals
from runtime.loop_watch import LoopWatch
from switchboard.base import Base, make_base
from switchboard.settings import Configuration


class ReadOnlyStore:
    """The store's connections, for looking things up."""

    name = "store"

    def __init__(self, base: Base) -> None:
        self._base = base

    async def start(self) -> None:
        await self._base.database.start()

    async def drain(self) -> None:
        """Nothing to do."""

    async def stop(self) -> None:
        await self._base.database.stop()


def tune() -> None:
    """Set up a process that does nothing but triage: uvloop, also for the thread in which Faust reads."""
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    tune_collector()


def run_tuned(configuration: Configuration, address: str, *, embedded: bool, group: str) -> NoReturn:
    """`run`, in a process of its own, which ends with it: a thread that Faust left behind is not waited for."""
    tune()
    status = asyncio.run(run(configuration, address, embedded=embedded, group=group))
    logging.shutdown()
    os._exit(status)


async def run(configuration: Configuration, address: str, *, embedded: bool, group: str = GROUP) -> int:
    """Until SIGTERM (0) or until the host dies (1). `group` is the router's in the broker's present life."""
    base = make_base(configuration, read_only=True)
    settings = configuration.settings
    triage = Triage(StoreLookup(base.database), base.store.blobs, base.clock)
    timeout, compression = settings.kafka.send_timeout.total_seconds(), settings.kafka.compression
    sink = KafkaSink(address, embedded=embedded, send_timeout_s=timeout, compression=compression)
    batch_max = settings.router.batch_max
    host: Host
    if settings.router.host == "faust":
        partitions = settings.kafka.partitions
        host = FaustHost(
            triage, sink, address=address, partitions=partitions, embedded=embedded, batch_max=batch_max, group=group
        )
    else:
        source = KafkaSource(address, group, [INTERACTIONS], embedded=embedded)
        host = BusHost(triage, source, sink, batch_max=batch_max)
    stuck_after_s = settings.router.stuck_after.total_seconds()
    watchdog = Watchdog(
        host,
        lambda: positions(address, group, [INTERACTIONS], partitions=settings.kafka.partitions, embedded=embedded),
        stuck_after_s=stuck_after_s,
    )
    stop = asyncio.Event()
    with stop_on_signals(stop):
        services: list[Service] = [LoopWatch(stuck_after_s), ReadOnlyStore(base), host, watchdog]
        report = await Lifecycle(services, drain_timeout=20.0).run_until(stop)
    return 1 if report.died else 0
