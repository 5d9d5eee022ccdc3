"""Publishing what triage made: until the broker has confirmed everything, nothing is acknowledged."""

import asyncio
from collections.abc import Sequence

from bus.port import Sink
from bus.records import Confirmed, Outgoing, Record, Refused
from router.hosts.triage import Triage
from runtime.backoff import backoff
from schemas.errors import BrokerUnavailable

ATTEMPTS = 8


async def publish(sink: Sink, triage: Triage, records: Sequence[Record], outgoing: Sequence[Outgoing]) -> None:
    """Write `outgoing` (one per record), again where it failed. What the broker refuses for good (too large)
    becomes a dead letter of the record that it came from. Raises BrokerUnavailable after `ATTEMPTS` attempts."""
    left, writing = list(records), list(outgoing)
    for attempt in range(ATTEMPTS):
        outcomes = await sink.write(writing)
        open_ = [number for number, outcome in enumerate(outcomes) if type(outcome) is not Confirmed]
        if not open_:
            return
        for number in open_:
            outcome = outcomes[number]
            if isinstance(outcome, Refused):
                writing[number] = await triage.set_aside(left[number], "refused", outcome.reason)
        left, writing = [left[number] for number in open_], [writing[number] for number in open_]
        await asyncio.sleep(backoff(attempt, 0.1, 5.0))
    raise BrokerUnavailable(f"{len(left)} decisions were not confirmed")
