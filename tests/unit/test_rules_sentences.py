"""Rules in words that a team lead reads."""

from typing import Any

import pytest

from rules.fields import FIELDS
from rules.model import Leaf
from rules.sentences import condition_in_words, in_words
from tests.kit.policies import example_policy, policy


def words_of(rule: str) -> dict[str, Any]:
    source = policy(rule, queues={"general": {}, "orders": {}}).source
    return in_words(source.rules[0])


def flat(node: Any) -> str:
    inner = "; ".join(map(flat, node["parts"]))
    return f"{node['text']} ({inner})" if inner else str(node["text"])


@pytest.mark.parametrize(
    ("when", "words"),
    [
        ("{subject: {contains: [a, b, c]}}", "the subject has “a”, “b” or “c”"),
        ("{text: {contains: [a], match: part}}", "the text has “a” (inside of words, too)"),
        ("{channel: [email, web_form]}", "the channel is email or web form"),
        ("{automatic: false}", "it was written by a person"),
        ("{last_agent: {exists: false}}", "an agent of before is not there"),
        ("{verdict: failed}", "the sender failed authentication"),
        ("{contacts.7: {at_least: 3}}", "contacts in 7 days is at least 3"),
        ("{header.List-Id: {exists: true}}", "header List-Id is there"),
        ("{not: {customer_tier: gold}}", "not: the customer's tier is gold"),
        ("{tier: P1, any: [{size: {more_than: 1MB}}, {holiday: true}]}",
         "all of these hold (the tier so far is P1; "
         "one of these holds (its size is more than 1MB; it is a public holiday))"),
        ("\"seq > 2\"", "the expression seq > 2"),
        ("{subject: {contains: [a, b, c, d, e, f, g, h]}}", "the subject has “a”, “b”, “c”, “d”, “e”, “f” or 2 more"),
    ],
)  # fmt: skip
def test_conditions(when: str, words: str) -> None:
    assert flat(words_of(f"- {{name: r, when: {when}, tags: t}}")["when"]) == words


def test_actions_and_occasions() -> None:
    found = words_of(
        "- {name: r, on: [first, reopened], queue: orders, tier: P1, target: 90m, tags: [a, b], skills: german,"
        " affinity: true, notify: lead, webhook: crm, set: {plan: x}, stop: true}"
    )
    assert found["on"] == "only for the first message or one that reopens"
    assert found["when"] is None
    assert found["then"] == [
        "put it into the queue orders",
        "make it P1",
        "promise an answer within 1h30m",
        "offer it to the agent of before first",
        "ask for the skill german",
        "tag it a, b",
        "tell lead",
        "call the webhook crm",
        "note plan = x",
        "look at no further rule",
    ]
    assert words_of("- {name: r, hold: spam}")["then"] == ["hold it as spam, for a person to look at"]
    assert words_of("- {name: r, close: no_answer_needed}")["then"] == ["close it: no answer needed"]


def test_every_field_and_every_rule_of_the_example_has_words() -> None:
    for name, field in FIELDS.items():
        assert condition_in_words(Leaf(field=name, name="x" if field.named else "", operator="exists", value=True))
    for rule in example_policy().source.rules:
        assert in_words(rule)["then"]
