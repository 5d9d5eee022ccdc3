"""The example policy decides as its own cases expect."""

from typing import Any

import pytest

from switchboard.cli.rules_cases import cases_in, differences
from tests.kit.policies import EXAMPLE, example_policy

CASES = list(cases_in(sorted((EXAMPLE / "cases").glob("*.yaml"))))


@pytest.mark.parametrize("case", [pytest.param(case, id=case["case"]) for _, case in CASES])
def test_case(case: dict[str, Any]) -> None:
    assert differences(example_policy(), case) == []


def test_a_case_that_expects_something_else_is_told_apart() -> None:
    given = {"subject": "Question", "text": "Hello"}
    wrong = {"case": "x", "given": given, "expect": {"queue": "orders", "tier": "P3", "says": ["Goodbye"]}}
    assert differences(example_policy(), wrong) == [
        "queue: expected orders, got support",
        "the answer does not say Goodbye",
    ]
    assert "did you mean queue?" in differences(example_policy(), {"expect": {"queu": "x"}})[0]
    assert "unknown key 'givn'" in differences(example_policy(), {"givn": {}, "expect": {}})[0]
