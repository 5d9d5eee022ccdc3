"""The example policy decides as its own cases expect."""

import pytest

from rules.cases import Case
from rules.engine import evaluate
from switchboard.cli.rules_cases import cases_in, differences, situation
from tests.kit.policies import EXAMPLE, example_policy

CASES = cases_in(sorted((EXAMPLE / "cases").glob("*.yaml")))


@pytest.mark.parametrize("case", [pytest.param(case, id=case.case) for _, case in CASES])
def test_case(case: Case) -> None:
    assert differences(example_policy(), case) == []


def test_each_rule_has_a_case_in_which_it_fires() -> None:
    fired: set[str] = set()
    for _, case in CASES:
        result = evaluate(example_policy(), *situation(example_policy(), case))
        fired |= {trace.name for trace in result.traces if trace.result == "fired"}
    assert sorted({rule.name for rule in example_policy().source.rules} - fired) == []
    assert len(example_policy().source.rules) == 31


def test_a_case_that_expects_something_else_is_told_apart() -> None:
    given = {"subject": "Question", "text": "Hello"}
    wrong = {"case": "x", "given": given, "expect": {"queue": "orders", "tier": "P3", "says": ["Goodbye"]}}
    assert differences(example_policy(), Case.model_validate(wrong)) == [
        "queue: expected orders, got support",
        "the answer does not say Goodbye",
    ]
