"""Publishing what triage made: until the broker has confirmed everything, nothing is acknowledged."""

import asyncio
from collections.abc import Callable, Sequence

from bus.port import Sink
from bus.records import Confirmed, Outgoing, Record, Refused
from router.hosts.triage import Triage
from runtime.backoff import backoff
from schemas.errors import BrokerUnavailable

ATTEMPTS = 8


async def publish(
    sink: Sink,
    triage: Triage,
    records: Sequence[Record],
    outgoing: Sequence[Outgoing],
    wanted: Callable[[int], bool] = lambda _: True,
) -> None:
    """Write `outgoing` (one per record), again where it failed and as long as it is `wanted`, asked by its number: what
    is not belongs to somebody else by now. What the broker refuses for good (too large) becomes a dead letter of the
    record that it came from. Raises BrokerUnavailable after `ATTEMPTS` attempts."""
    left, writing = list(range(len(records))), list(outgoing)
    for attempt in range(ATTEMPTS):
        outcomes = await sink.write([writing[number] for number in left])
        failed = [(n, outcome) for n, outcome in zip(left, outcomes, strict=True) if type(outcome) is not Confirmed]
        if not failed:
            return
        for number, outcome in failed:
            if isinstance(outcome, Refused):
                writing[number] = await triage.set_aside(records[number], "refused", outcome.reason)
        await asyncio.sleep(backoff(attempt, 0.1, 5.0))
        left = [number for number, _ in failed if wanted(number)]
        if not left:
            return
    raise BrokerUnavailable(f"{len(left)} decisions were not confirmed")
