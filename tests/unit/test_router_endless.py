"""A decision that does not come to an end holds nobody up: neither its batch, nor its partition, nor itself."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import pytest

from bus.records import Record
from bus.topics import DECISIONS, INTERACTIONS
from router.core import triage as core
from router.hosts import triage
from router.hosts.triage import Triage
from rules import engine
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


@pytest.fixture
def endless(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The interactions whose first rule never ends."""
    found: set[str] = set()
    matches = engine._Run.one

    def one(run: Any, compiled: Any) -> None:
        while run.view.interaction.id in found:
            pass
        matches(run, compiled)

    monkeypatch.setattr(engine._Run, "one", one)
    monkeypatch.setattr(triage, "DECISION_CPU_S", 0.2)
    monkeypatch.setattr(triage, "LEAST_CPU_S", 0.01)
    return found


async def decided(count: int) -> list[Decision]:
    lookup: Any = Lookup()
    made = await Triage(lookup, lookup, ManualClock(NOW)).process([record(n) for n in range(1, count + 1)])
    assert {each.topic for each in made} == {DECISIONS}
    return [Decision.model_validate_json(each.value) for each in made]


async def test_a_decision_that_never_ends_goes_to_a_person_and_its_neighbours_are_decided(endless: set[str]) -> None:
    """It held its partition up, restart after restart."""
    endless |= {"i2", "i4"}
    decisions = await decided(5)
    assert [bool(each.errors) for each in decisions] == [False, True, False, True, False]
    for each in (decisions[1], decisions[3]):
        assert (each.outcome, each.answer) == ("queue", None), "and no later rule answers it"
        assert "too much processor time" in each.errors[0]


async def test_a_batch_in_which_no_decision_ends_comes_to_an_end_and_lets_the_loop_turn(endless: set[str]) -> None:
    """The process was taken for stuck before the batch was done, and the next one began it anew."""
    endless |= {f"i{n}" for n in range(1, 121)}
    turns = 0

    async def turning() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(turning())
    spent = time.process_time()
    decisions = await decided(120)
    spent = time.process_time() - spent
    beside.cancel()
    assert all(each.errors for each in decisions)
    assert turns >= 120 // triage.SLICE
    assert spent < 120 * 0.2 / 2, "each gets less than the one before"


async def test_many_decisions_that_take_long_together_are_all_made(
    endless: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time was counted over the whole batch, and struck whoever was the last."""
    monkeypatch.setattr(triage, "DECISION_CPU_S", 0.1)
    evaluate = core.evaluate

    def slow(*of: Any, **named: Any) -> Any:
        until = time.process_time() + 0.02
        while time.process_time() < until:
            pass
        return evaluate(*of, **named)

    monkeypatch.setattr(core, "evaluate", slow)
    assert not any(each.errors for each in await decided(20))
