"""A decision that does not come to an end holds nobody up: neither its batch, nor its partition, nor itself."""

from collections.abc import Sequence
from typing import Any

import pytest

from bus.records import Record
from bus.topics import DECISIONS, INTERACTIONS
from router.core import triage as core
from router.hosts import triage
from router.hosts.triage import Triage
from rules.policy import Policy
from schemas.codec import encode
from schemas.decision import Decision
from schemas.structs import Facts, Interaction
from tests.kit.clock import ManualClock
from tests.kit.contacts import NOW, email
from tests.kit.policies import accepted, example_policy


class Lookup:
    async def policies(self, versions: set[str]) -> dict[str, Policy]:
        return dict.fromkeys(versions, example_policy())

    async def facts(self, batch: Sequence[Interaction]) -> dict[str, Facts]:
        return {}


def record(number: int) -> Record:
    encoded = encode(accepted(email(f"<{number}@example.org>"), id=f"i{number}", conversation_id=f"c{number}"))
    return Record(INTERACTIONS, 0, number, encoded.key.encode(), encoded.value, encoded.headers, 0)


async def test_a_decision_that_never_ends_goes_to_a_person_and_its_neighbours_are_decided(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It held its partition up, restart after restart."""
    evaluate = core.evaluate

    def endless(policy: Policy, interaction: Interaction, *more: Any, **named: Any) -> Any:
        while interaction.id in {"i2", "i4"}:
            pass
        return evaluate(policy, interaction, *more, **named)

    monkeypatch.setattr(core, "evaluate", endless)
    monkeypatch.setattr(triage, "DECISION_CPU_S", 0.2)
    lookup: Any = Lookup()
    made = await Triage(lookup, lookup, ManualClock(NOW)).process([record(n) for n in range(1, 6)])
    assert [each.topic for each in made] == [DECISIONS] * 5
    decisions = [Decision.model_validate_json(each.value) for each in made]
    assert [each.seq for each in decisions] == [1] * 5
    assert [bool(each.errors) for each in decisions] == [False, True, False, True, False]
    for each in (decisions[1], decisions[3]):
        assert each.outcome == "queue"
        assert "too much processor time" in each.errors[0]
