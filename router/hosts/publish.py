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
    left = list(zip(records, outgoing, strict=True))
    for attempt in range(ATTEMPTS):
        outcomes = await sink.write([out for _, out in left])
        again: list[tuple[Record, Outgoing]] = []
        for (record, out), outcome in zip(left, outcomes, strict=True):
            if isinstance(outcome, Refused):
                again.append((record, await triage.set_aside(record, "refused", outcome.reason)))
            elif not isinstance(outcome, Confirmed):
                again.append((record, out))
        if not again:
            return
        left = again
        await asyncio.sleep(backoff(attempt, 0.1, 5.0))
    raise BrokerUnavailable(f"{len(left)} decisions were not confirmed")
