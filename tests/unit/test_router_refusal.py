"""What no machine ever answers, whatever the rules say."""

from typing import Any

import pytest

from router.core.triage import decide_safely
from rules.model import TemplateText
from schemas.decision import Facts
from schemas.interaction import Interaction
from tests.kit.contacts import NOW, email
from tests.kit.policies import accepted, example_policy, policy

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


def machine(kind: str) -> Interaction:
    contact = email(automatic=f"{kind} (signals)")
    return accepted(
        contact.model_copy(update={"content": contact.content.model_copy(update={"automatic_class": kind})})
    )


@pytest.mark.parametrize("rules", ["", "- {name: a, answer: greeting}"])
@pytest.mark.parametrize("kind", ["list", "bulk", "notification"])
def test_lists_and_alerts_wait_at_the_lowest_tier_where_no_rule_speaks_of_them(kind: str, rules: str) -> None:
    """They were closed, and nobody ever saw an alert."""
    greeting = {"greeting": {"en": TemplateText(text="Good day.")}}
    decision = decide_safely(policy(rules, templates=greeting), machine(kind), Facts(), NOW)
    assert (decision.outcome, decision.close, decision.answer) == ("queue", None, None)
    assert (decision.queue, decision.tier) == ("general", "P4")
    assert decision.tier_why == f"automatic mail of class {kind}"


def test_a_rule_says_otherwise_of_an_alert() -> None:
    found = policy("""
        - {name: a, when: {automatic_class: notification}, queue: general, tier: P1}
        - {name: b, when: {automatic_class: bulk}, close: spam}
        """)
    alert = decide_safely(found, machine("notification"), Facts(), NOW)
    assert (alert.outcome, alert.tier) == ("queue", "P1")
    assert decide_safely(found, machine("bulk"), Facts(), NOW).close == "spam"


@pytest.mark.parametrize(
    "kind", ["auto_reply", "receipt", "delivery_report", "bounce", "feedback_report", "challenge", "own"]
)
def test_other_automatic_mail_is_closed_where_no_rule_speaks_of_it(kind: str) -> None:
    decision = decide_safely(policy(), machine(kind), Facts(), NOW)
    assert (decision.outcome, decision.close, decision.answer) == ("close", "automatic", None)
