"""The pure function at the heart of the router: records in, exactly one result per record out.

A host reads records, asks `decode` what they are, fetches facts and policies for the interactions among them, and
lets `step` decide. No clock, no IO, no state; batch in, batch out, in the same order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from router.core.triage import decide_safely
from rules.policy import Policy
from schemas.codec import Invalid, decode
from schemas.decision import Decision, Facts
from schemas.interaction import Interaction


@dataclass(frozen=True, slots=True)
class Input:
    """A record of the interactions topic, as the core needs it."""

    headers: tuple[tuple[str, bytes], ...]
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Decoded:
    item: Interaction | Invalid


def read(records: Sequence[Input]) -> list[Decoded]:
    """What each record is. Never raises."""
    found = []
    for record in records:
        item = decode(record.headers, record.value)
        if not isinstance(item, Interaction | Invalid):
            item = Invalid("invalid", f"a {item.TYPE} does not belong on this topic")
        found.append(Decoded(item))
    return found


def step(
    batch: Sequence[Decoded], policies: Mapping[str, Policy], facts: Mapping[str, Facts], now: datetime
) -> list[Decision | Invalid]:
    """One result per record, in the same order. `policies` has every version named by the batch."""
    return [
        decoded.item
        if isinstance(decoded.item, Invalid)
        else decide_safely(
            policies[decoded.item.policy_version], decoded.item, facts.get(decoded.item.id, Facts()), now
        )
        for decoded in batch
    ]
