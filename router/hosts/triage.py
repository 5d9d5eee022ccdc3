"""What every host does with a batch of records: decode, look up, decide, encode. Hosts differ in IO only."""

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

from bus.dead_letters import Reason, dead_letter, needs_blob, outgoing
from bus.records import Outgoing, Record
from bus.topics import DECISIONS
from router.core.core import read, step
from rules.policy import Policy
from runtime.clock import Clock
from runtime.cpu_limit import CpuLimit
from runtime.logs import get_logger
from schemas.codec import Invalid
from schemas.errors import TemporaryError
from schemas.fast import encode_decision
from schemas.structs import Decision, Facts, Interaction

DECISION_CPU_S, LEAST_CPU_S = 2.0, 0.05
"""One decision takes a ten-thousandth of a second, on the longest text five thousandths. The least: a batch in which
none comes to an end is through before anybody takes this process for stuck."""
SLICE = 50

log = get_logger(__name__)


class Lookup(Protocol):
    """The IO that triage needs. Both raise StoreUnavailable when the store is away."""

    async def policies(self, versions: set[str]) -> dict[str, Policy]: ...

    async def facts(self, batch: Sequence[Interaction]) -> dict[str, Facts]:
        """By interaction id; those of whom nothing is known may be left out."""
        ...


class BlobStore(Protocol):
    async def put(self, data: bytes) -> str: ...


class Triage:
    """`process` gives exactly one record for each record."""

    def __init__(self, lookup: Lookup, blobs: BlobStore, clock: Clock) -> None:
        self._lookup = lookup
        self._blobs = blobs
        self._clock = clock

    async def process(self, records: Sequence[Record]) -> list[Outgoing]:
        """The decision on each record, or its dead letter. `records`: ours or aiokafka's, which have the same names.

        A bug on one record must not hold up its partition: then each is done alone, and only the culprit is set
        aside. Raises TemporaryError: process the same records again later, acknowledge nothing.
        """
        try:
            return await self._together(records)
        except TemporaryError:
            raise
        except Exception:
            log.exception("a batch could not be decided as one: one by one now", records=len(records))
        return [await self._alone(record) for record in records]

    async def _alone(self, record: Record) -> Outgoing:
        try:
            return (await self._together([record]))[0]
        except TemporaryError:
            raise
        except Exception as error:
            return await self.set_aside(record, "invalid", f"{type(error).__name__}: {error}")

    async def _together(self, records: Sequence[Record]) -> list[Outgoing]:
        items = read(records)
        interactions: list[Interaction] = [item for item in items if not isinstance(item, Invalid)]
        policies = await self._lookup.policies({interaction.policy_version for interaction in interactions})
        facts = await self._lookup.facts(interactions)
        now = self._clock.now()
        limit, results = CpuLimit(DECISION_CPU_S, LEAST_CPU_S), []
        for start in range(0, len(items), SLICE):
            with limit:
                results += step(items[start : start + SLICE], policies, facts, now, before_each=limit.again)
            await asyncio.sleep(0)  # the loop turns, however slow they are
        return [
            await self.set_aside(record, result.reason, result.detail)
            if isinstance(result, Invalid)
            else _decided(record, result)
            for record, result in zip(records, results, strict=True)
        ]

    async def set_aside(self, record: Record, reason: Reason, detail: str) -> Outgoing:
        """The dead letter of a record, its bytes in the blob store when they are many."""
        record = _ours(record)
        dataref = await self._blobs.put(record.value or b"") if needs_blob(record) else None
        return outgoing(dead_letter(record, reason, detail, at=self._clock.now(), dataref=dataref))


def _decided(record: Record, decision: Decision) -> Outgoing:
    key, headers, value = encode_decision(decision)
    # All topics have as many partitions, so what was placed by this key once need not be placed again.
    return Outgoing(DECISIONS, key, value, headers, record.partition)


def _ours(record: Any) -> Record:
    """A header may be null; a key is bytes or nothing."""
    headers = tuple((name, value or b"") for name, value in record.headers or ())
    return Record(
        record.topic, record.partition, record.offset, record.key, record.value, headers, int(record.timestamp or 0)
    )
