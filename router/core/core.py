"""The pure function at the heart of the router: records in, exactly one result per record out.

A host reads records, asks `read` what they are, fetches facts and policies for the interactions among them, and
lets `step` decide. No clock, no IO, no state; batch in, batch out, in the same order.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from router.core.triage import decide_safely
from rules.policy import Policy
from schemas.codec import Invalid
from schemas.fast import decode_interaction
from schemas.structs import Decision, Facts, Interaction


class Input(Protocol):
    """A record of the interactions topic, as the core needs it."""

    @property
    def headers(self) -> tuple[tuple[str, bytes], ...]: ...

    @property
    def value(self) -> bytes | None: ...


def read(records: Sequence[Input]) -> list[Interaction | Invalid]:
    """What each record is. Never raises."""
    return [decode_interaction(record.headers, record.value) for record in records]


def step(
    batch: Sequence[Interaction | Invalid],
    policies: Mapping[str, Policy],
    facts: Mapping[str, Facts],
    now: datetime,
    *,
    before_each: Callable[[], None] = lambda: None,
) -> list[Decision | Invalid]:
    """One result per record, in the same order. `policies` has every version named by the batch. `before_each`
    decision: for a host that stops those that never end."""
    unknown = Facts()
    results: list[Decision | Invalid] = []
    for item in batch:
        if isinstance(item, Invalid):
            results.append(item)
        else:
            before_each()
            results.append(decide_safely(policies[item.policy_version], item, facts.get(item.id, unknown), now))
    return results
