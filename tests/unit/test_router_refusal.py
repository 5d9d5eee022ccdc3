"""What no machine ever answers, whatever the rules say."""

from typing import Any

import pytest

from router.core.triage import decide_safely
from schemas.decision import Facts
from schemas.interaction import Interaction
from tests.kit.contacts import NOW, email
from tests.kit.policies import accepted, example_policy

ORDER = {"subject": "Where is my order?", "text": "Where is my order SO-12345?", "verdict": "verified"}


def decided(**more: Any) -> Any:
    interaction: Interaction = accepted(email(**{**ORDER, **more}))
    return decide_safely(example_policy(), interaction, Facts(), NOW)


def test_an_ordinary_mail_is_answered() -> None:
    assert decided().answer is not None


@pytest.mark.parametrize(
    "more",
    [{"flags": ("backfill",)}, {"archived": True}, {"flags": ("unparsed",)}, {"flags": ("not_addressed_to_us",)}],
)
def test_what_no_machine_answers_goes_to_a_person(more: dict[str, Any]) -> None:
    decision = decided(**more)
    assert (decision.answer, decision.close) == (None, None)
    assert decision.queue
    assert decision.refused
