"""Our Faust host: copying, or doing the whole job with a policy of RULES rules and facts from a warm cache."""

import asyncio
import logging
import sys
from collections.abc import Sequence
from typing import Any

from bus.kafka import KafkaSink
from bus.records import Confirmed, Outcome, Outgoing, Record
from router.hosts.faust_host import FaustHost
from router.hosts.triage import Triage
from rules.policy import Policy
from runtime.clock import SystemClock
from schemas.structs import Facts, Interaction
from switchboard.router_process import tune
from tests.bench import traffic
from tests.bench.hosts.meter import BATCH, OUT, Meter


class Copy(Triage):
    """Every record as it came."""

    def __init__(self) -> None:
        """Needs nothing."""

    async def process(self, records: Sequence[Record]) -> list[Outgoing]:
        return [Outgoing(OUT, r.key.decode(), r.value, r.headers, r.partition) for r in records]  # type: ignore[union-attr, arg-type]


class Warm:
    """The look-up when everything has been asked for before."""

    def __init__(self, rules: int) -> None:
        self._policy = traffic.policy(rules)
        self._facts = {
            f"customer-{n}": Facts(customer_tier=traffic.TIERS[n % 4], known=True, contacts_7d=n % 3)
            for n in range(traffic.CUSTOMERS)
        }

    async def policies(self, versions: set[str]) -> dict[str, Policy]:
        return dict.fromkeys(versions, self._policy)

    async def facts(self, batch: Sequence[Interaction]) -> dict[str, Facts]:
        return {interaction.id: self._facts[interaction.customer_id] for interaction in batch}


class Counting:
    """A sink that counts what the broker has confirmed."""

    def __init__(self, sink: KafkaSink, count: int) -> None:
        self._sink, self._count = sink, count
        self.meter, self.enough = Meter(), asyncio.Event()

    async def write(self, records: Sequence[Outgoing]) -> list[Outcome]:
        outcomes = await self._sink.write(records)
        self.meter.count(sum(isinstance(outcome, Confirmed) for outcome in outcomes))
        if self.meter.done >= self._count:
            self.enough.set()
        return outcomes

    async def close(self) -> None:
        await self._sink.close()


async def main(address: str, group: str, count: int, rules: int) -> None:
    lookup: Any = Warm(rules) if rules else None
    triage = Triage(lookup, lookup, SystemClock()) if rules else Copy()
    sink = Counting(KafkaSink(address, embedded=False), count)
    inner = triage.process

    async def process(records: Sequence[Record]) -> list[Outgoing]:
        sink.meter.begin()
        return await inner(records)

    triage.process = process  # type: ignore[method-assign]
    host = FaustHost(triage, sink, address=address, partitions=4, embedded=False, batch_max=BATCH, group=group)
    await host.start()
    await sink.enough.wait()
    await host.drain()
    sink.meter.report()


if __name__ == "__main__":
    logging.getLogger().setLevel(logging.WARNING)
    tune()
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
