"""What every host does with a batch of records: decode, look up, decide, encode. Hosts differ in IO only."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from bus.dead_letters import Reason, dead_letter, needs_blob, outgoing
from bus.records import Outgoing, Record
from bus.topics import DECISIONS
from router.core.core import Input, read, step
from rules.policy import Policy
from runtime.clock import Clock
from schemas.codec import Invalid, encode
from schemas.decision import Decision, Facts
from schemas.errors import TemporaryError
from schemas.interaction import Interaction


class Lookup(Protocol):
    """The IO that triage needs. Both raise StoreUnavailable when the store is away."""

    async def policies(self, versions: set[str]) -> dict[str, Policy]: ...

    async def facts(self, batch: Sequence[Interaction]) -> dict[str, Facts]: ...


class BlobStore(Protocol):
    async def put(self, data: bytes) -> str: ...


class Triage:
    """`process` gives exactly one record for each record."""

    def __init__(self, lookup: Lookup, blobs: BlobStore, clock: Clock) -> None:
        self._lookup = lookup
        self._blobs = blobs
        self._clock = clock

    async def process(self, records: Sequence[Record]) -> list[Outgoing]:
        """Raises TemporaryError: process the same records again later, acknowledge nothing."""
        decoded = read([_input(record) for record in records])
        interactions = [d.item for d in decoded if isinstance(d.item, Interaction)]
        policies = await self._lookup.policies({i.policy_version for i in interactions})
        facts = await self._lookup.facts(interactions)
        results = step(decoded, policies, facts, self._clock.now())
        return [await self._safely(record, result) for record, result in zip(records, results, strict=True)]

    async def _safely(self, record: Record, result: Decision | Invalid) -> Outgoing:
        """A bug on one record must not hold up its partition: that record alone is set aside, bare."""
        try:
            return await self._outgoing(record, result)
        except TemporaryError:
            raise
        except Exception as error:
            bare = replace(record, headers=())
            return await self.set_aside(bare, "invalid", f"{type(error).__name__}: {error}")

    async def _outgoing(self, record: Record, result: Decision | Invalid) -> Outgoing:
        if isinstance(result, Invalid):
            return await self.set_aside(record, result.reason, result.detail)
        encoded = encode(result)
        return Outgoing(DECISIONS, encoded.key, encoded.value, encoded.headers)

    async def set_aside(self, record: Record, reason: Reason, detail: str) -> Outgoing:
        """The dead letter of a record, its bytes in the blob store when they are many."""
        dataref = await self._blobs.put(record.value or b"") if needs_blob(record) else None
        return outgoing(dead_letter(record, reason, detail, at=self._clock.now(), dataref=dataref))


def _input(record: Record) -> Input:
    return Input(record.headers, record.value)
