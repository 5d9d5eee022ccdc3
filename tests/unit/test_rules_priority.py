"""Tier, target, deadline, and their words."""

import re
from datetime import UTC, datetime, timedelta
from math import prod
from typing import Any

import pytest
from pydantic import ValidationError

from rules.check import check
from rules.engine import RuleResult, evaluate
from rules.explain import describe
from rules.model import PolicySource, PriorityTable
from rules.policy import Policy
from rules.priority import prioritise
from schemas.structs import Answer, Decision, Facts
from tests.kit.contacts import NOW, chat, email
from tests.kit.policies import accepted, policy

TABLE = [
    {"when": {"customer_tier": "gold", "channel": ["chat", "email"]}, "tier": "P1"},
    {"when": {"tags": ["angry", "legal"]}, "tier": "P2"},
    {"when": {"language": "de", "verdict": "verified"}, "tier": "P4"},
    {"tier": "P3"},
]


def chosen(**priority: Any) -> Policy:
    calendar = {"timezone": "Europe/Berlin", "hours": {"mon-fri": ["09:00-17:00"]}}
    return policy(
        priority={"table": TABLE, **priority},
        business_hours={"default": calendar, "late": {**calendar, "hours": {"mon-fri": ["12:00-20:00"]}}},
        queues={"general": {}, "late": {"business_hours": "late"}},
    )


@pytest.mark.parametrize(
    ("facts", "more", "tier", "why"),
    [
        (Facts(customer_tier="gold"), {}, "P1", "priority table, row 1 (customer tier gold, channel email)"),
        (Facts(), {"tags": ("legal",)}, "P2", "priority table, row 2 (tag legal)"),
        (Facts(), {}, "P3", "priority table, row 4 (everything else)"),
        (Facts(customer_tier="gold"), {"tier": "P4", "tier_rule": "x"}, "P4", "rule x"),
    ],
)
def test_the_first_row_that_fits_unless_a_rule_has_spoken(facts: Facts, more: Any, tier: str, why: str) -> None:
    priority = prioritise(chosen(), accepted(), facts, RuleResult(**more))
    assert (priority.tier, priority.tier_why) == (tier, why)


@pytest.mark.parametrize("when", [None, {}, {"tags": []}, {"channel": "email", "tags": ""}, {"language": ["de", ""]}])
def test_a_row_that_is_begun_and_not_filled_in_is_a_mistake(when: Any) -> None:
    with pytest.raises(ValidationError, match="is empty: name what it asks for"):
        PriorityTable.model_validate({"table": [{"when": when, "tier": "P1"}, {"tier": "P3"}]})


LAST = {"tier": "P3"}


@pytest.mark.parametrize(
    ("priority", "told"),
    [
        ({"table": [{"tier": "P1"}, LAST]}, "row 1 takes everything"),
        (
            {"table": [{"when": {"channel": ["chat", "email", "web_form", "phone_log"]}, "tier": "P1"}, LAST]},
            "row 1 takes",
        ),
        ({"table": [{"when": {"verdict": ["failed", "unknown", "verified"]}, "tier": "P1"}, LAST]}, "row 1 takes"),
        (
            {"table": [{"when": {"channel": "email"}, "tier": "P1"}] * 2 + [LAST]},
            "row 2 is never reached: row 1 takes all that it would",
        ),
        (
            {
                "table": [
                    {"when": {"customer_tier": ["Gold", "silver"]}, "tier": "P1"},
                    {"when": {"customer_tier": "gold", "urgent": True}, "tier": "P2"},
                    LAST,
                ]
            },
            "row 2 is never reached: row 1 takes all that it would",
        ),
        (
            {"table": [{"when": {"agreement": "nope"}, "tier": "P1"}, LAST]},
            "row 1: unknown agreement 'nope' (there are none)",
        ),
        (
            {"table": [{"when": {"agreement": "Golt"}, "tier": "P1"}, LAST], "agreements": {"Gold": {}}},
            "row 1: unknown agreement 'Golt' (did you mean Gold?)",
        ),
        ({"agreements": {"Gold": {}, "gold": {}}}, "agreement 'gold' is 'Gold' already"),
        ({"urgent_words": {"en": ["\u200b"]}, "modifiers": {"urgent": 0.5}}, "holds nothing to look for"),
        ({"urgent_words": {"de": ["a"], "de-AT": ["b"]}}, "urgent_words: 'de-AT' and 'de' are one language"),
    ],
)
def test_rows_that_never_fit_and_names_that_are_not_there_are_mistakes(priority: Any, told: str) -> None:
    (found,) = check(PolicySource(priority=priority))
    assert told in str(found)


def test_rows_that_can_fit_are_no_mistakes() -> None:
    rows = [
        {"when": {"customer_tier": "gold", "channel": "chat"}, "tier": "P1"},
        {"when": {"customer_tier": "gold"}, "tier": "P2"},
        {"when": {"channel": ["chat", "email"]}, "tier": "P2"},
        {"when": {"channel": ["email", "web_form"]}, "tier": "P4"},
        {"when": {"urgent": True, "agreement": "GOLD"}, "tier": "P1"},
        {"when": {"urgent": False}, "tier": "P2"},
        LAST,
    ]
    source = PolicySource(priority={"table": rows, "agreements": {"gold": {}}})
    assert check(source) == []
    assert PolicySource.from_json(source.to_json()).version == source.version


def test_the_table_compares_as_rules_do() -> None:
    """Rules fold case and accents; a tier that was written otherwise in the customers' list fitted no row."""
    table = [
        {"when": {"customer_tier": "Größe"}, "tier": "P1"},
        {"when": {"tags": "VIP"}, "tier": "P2"},
        {"when": {"language": "DE"}, "tier": "P4"},
        {"when": {"agreement": "Gold"}, "tier": "P2"},
        LAST,
    ]
    agreed = {"Gold": {"targets": {"email": {"P2": "30m"}}}}
    ready = policy(priority={"table": table, "agreements": agreed, "modifiers": {"vip": 0.5}})
    for facts, more, language, tier in (
        (Facts(customer_tier="GROSSE"), {}, None, "P1"),
        (Facts(), {"tags": ("vip",)}, None, "P2"),
        (Facts(), {}, "de", "P4"),
        (Facts(), {}, "de-at", "P3"),  # a rule's `language: de` does not mean it either
        (Facts(agreement="gold"), {}, None, "P2"),
    ):
        interaction = accepted(email(language=language))
        assert prioritise(ready, interaction, facts, RuleResult(**more)).tier == tier, (facts, more, language)
    promised = prioritise(ready, accepted(), Facts(agreement="GOLD", customer_tags=("Vip",)), RuleResult())
    assert promised.target_why == "15m: email, P2, GOLD agreement, VIP × 0.5"


def test_the_factors_that_are_told_give_the_target() -> None:
    modifiers = {"repeat_contact": 0.105, "vip": 0.125, "waiting": 0.99, "floor": 0.001}
    ready = policy(priority={"modifiers": modifiers})
    facts = Facts(contacts_7d=1, customer_tags=("vip",), conversation_state="waiting")
    found = prioritise(ready, accepted(), facts, RuleResult())
    told = [float(factor) for factor in re.findall(r"× ([\d.]+)", found.target_why)]
    assert told == [0.105, 0.99, 0.125]
    assert found.target.total_seconds() == pytest.approx(8 * 3600 * prod(told))


def test_targets_by_channel_and_tier_and_by_rule() -> None:
    assert prioritise(chosen(), accepted(chat()), Facts(), RuleResult()).target == timedelta(minutes=2)
    ruled = prioritise(chosen(), accepted(), Facts(), RuleResult(target=timedelta(minutes=5), target_rule="x"))
    assert (ruled.target, ruled.target_why) == (timedelta(minutes=5), "5m in business hours default: rule x")
    own = chosen(targets={"chat": {"P1": "1s", "P2": "2s", "P3": "3s", "P4": "4s"}})
    assert prioritise(own, accepted(chat()), Facts(), RuleResult()).target == timedelta(seconds=3)
    assert prioritise(own, accepted(), Facts(), RuleResult()).target == timedelta(hours=8)


def test_a_repeat_contact_shortens_within_bounds() -> None:
    modifiers = {"repeat_contact": 0.1, "floor": 0.25}
    again = prioritise(chosen(modifiers=modifiers), accepted(), Facts(contacts_7d=1), RuleResult())
    assert (again.target, again.target_why) == (
        timedelta(hours=2),
        "2h in business hours default: email, P3, repeat contact × 0.1, never less than × 0.25",
    )
    follow_up = accepted(occasion="follow_up")
    assert (
        prioritise(chosen(modifiers=modifiers), follow_up, Facts(contacts_7d=1), RuleResult()).target_why
        == "8h in business hours default: email, P3"
    )


SIGNALS = {
    "modifiers": {"repeat_contact": 0.5, "waiting": 0.8, "vip": 0.5, "urgent": 0.5, "sentiment": 0.75, "floor": 0.25},
    "agreements": {"gold": {"targets": {"email": {"P1": "40m"}}}},
}


def promise(facts: Facts, text: str = "Hello", **more: Any) -> tuple[timedelta, str]:
    interaction, signals = accepted(email(text=text, **more)), chosen(**SIGNALS)
    priority = prioritise(signals, interaction, facts, evaluate(signals, interaction, facts, NOW))
    return priority.target, priority.target_why


@pytest.mark.parametrize(
    ("facts", "text", "minutes", "why"),
    [
        (Facts(customer_tier="gold", agreement="gold"), "Hello", 40, "email, P1, gold agreement"),
        (
            Facts(customer_tier="gold", agreement="gold", contacts_7d=1), "Hello", 20,
            "email, P1, gold agreement, repeat contact × 0.5",
        ),
        (Facts(agreement="gold"), "Hello", 480, "email, P3"),  # it names no target for P3
        (Facts(agreement="gone"), "Hello", 480, "email, P3"),
        (Facts(conversation_state="waiting"), "Hello", 384, "email, P3, waiting already × 0.8"),
        (Facts(conversation_state="assigned"), "Hello", 480, "email, P3"),
        (Facts(customer_tags=("vip",)), "Hello", 240, "email, P3, VIP × 0.5"),
        (Facts(), "I need it ASAP.", 240, "email, P3, urgent word 'asap' × 0.5"),
        (Facts(), "I need it asapx.", 480, "email, P3"),
        (Facts(), "You are terrible. Awful. The worst! I am furious.", 360, "email, P3, angry words × 0.75"),
        (Facts(), "You are terrible.", 440, "email, P3, angry words × 0.916667"),
        (Facts(), "You are terrible. Thanks!", 480, "email, P3"),
        (
            Facts(contacts_7d=1, customer_tags=("vip",)), "Terrible, awful, worst: urgent!", 120,
            "email, P3, repeat contact × 0.5, VIP × 0.5, urgent word 'urgent' × 0.5, angry words × 0.75, "
            "never less than × 0.25",
        ),
    ],
)  # fmt: skip
def test_signals_scale_the_target_within_bounds_and_say_so(facts: Facts, text: str, minutes: int, why: str) -> None:
    target, told = promise(facts, text, language="en")
    assert (round(target.total_seconds() / 60), told.partition(": ")[2]) == (minutes, why)


def test_words_count_in_their_own_language_or_where_that_is_not_known() -> None:
    for language, text, counts in (
        ("de-AT", "Bitte sofort!", True),
        ("fr", "Bitte sofort!", False),
        ("fr-CA", "URGENCE", True),
        ("es", "cuanto  antes", True),
        (None, "Bitte sofort!", True),
        ("ja", "urgent", True),  # there is no list of its own
    ):
        assert ("urgent word" in promise(Facts(), text, language=language)[1]) is counts, (language, text)


def test_a_policy_may_bring_its_own_words_of_urgency_and_ask_for_them_in_its_table() -> None:
    table = [{"when": {"urgent": True, "agreement": "gold"}, "tier": "P1"}, {"tier": "P3"}]
    signals = policy(priority={"table": table, "urgent_words": {"en": ["code red"]}, "agreements": {"gold": {}}})
    for text, tier in (("We have a Code Red here", "P1"), ("This is urgent", "P3")):
        interaction, facts = accepted(email(text=text, language="en")), Facts(agreement="gold")
        priority = prioritise(signals, interaction, facts, evaluate(signals, interaction, facts, NOW))
        assert priority.tier == tier
    assert prioritise(signals, accepted(), Facts(), RuleResult()).tier_why == "priority table, row 2 (everything else)"


def test_a_language_of_urgent_words_is_the_same_in_capitals() -> None:
    """The built-in words went on counting beside those that were meant to stand for them."""
    own = {"urgent_words": {"EN": ["code red"], "nl-BE": ["spoed"]}, "modifiers": {"urgent": 0.5}}
    signals = policy(priority=own)
    for text, language, counts in (
        ("Code red!", "en", True),
        ("This is urgent", "en", False),
        ("spoed", "nl", True),
        ("urgent", "nl", False),
    ):
        interaction = accepted(email(text=text, language=language))
        priority = prioritise(signals, interaction, Facts(), evaluate(signals, interaction, Facts(), NOW))
        assert ("urgent word" in priority.target_why) is counts, (text, language)


def test_a_policy_without_signals_keeps_the_version_that_it_had() -> None:
    assert PolicySource().version == "p-5da5c9718aa6"


def test_the_deadline_lies_in_the_hours_of_the_queue() -> None:
    gold = Facts(customer_tier="gold")
    deadline = datetime(2026, 3, 4, 11, 0, tzinfo=UTC)
    assert prioritise(chosen(), accepted(), gold, RuleResult()).deadline == deadline
    for late in (
        prioritise(chosen(), accepted(), gold, RuleResult(queue="late")),
        prioritise(chosen(), accepted(), gold, RuleResult(), queue="late"),
        prioritise(chosen(), accepted(email(queue="late")), gold, RuleResult()),
    ):
        assert late.deadline == datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
    assert prioritise(chosen(), accepted(), gold, RuleResult(queue="gone")).deadline == deadline


def test_the_end_of_time() -> None:
    last = datetime(9999, 12, 31, 23, 59, tzinfo=UTC)
    priority = prioritise(chosen(), accepted(email(received_at=last)), Facts(), RuleResult())
    assert priority.deadline >= last


def test_a_decision_in_words() -> None:
    rules = """
- {name: vip, order: 1, when: {customer_tier: gold}, tier: P1, queue: general}
- {name: other, order: 2, queue: late, tags: [a, b], set: {plan: x}, skills: german}
- {name: orders, order: 3, when: {subject: {contains: [order, parcel]}, text: {starts_with: [order]}}, tags: x}
- {name: lists, order: 3, when: {header: {name: List-Id, exists: true}}, tags: x}
- {name: not-mail, order: 3, when: {not: {channel: email}}, tags: x}
- {name: end, order: 4, tags: x, stop: true}
- {name: after, order: 5, when: {subject: {contains: parcel}}, tags: x, on: [follow_up, reopened, first]}
"""
    with pytest.raises(Exception, match="never reached"):
        policy(rules, queues={"general": {}, "late": {}})
    rules = rules.replace("tags: x, stop: true", "tags: x, stop: true, when: {channel: email}")
    ready = policy(rules, queues={"general": {}, "late": {}})
    interaction = accepted()
    facts = Facts(customer_tier="gold")
    result = evaluate(ready, interaction, facts, NOW, trace_all=True)
    priority = prioritise(ready, interaction, facts, result)
    decision = Decision(
        id="d", interaction_id="i1", conversation_id="c1", seq=1, policy_version="p", decided_at=NOW, outcome="queue",
        answer=Answer(rule="ack", template="hello", text="x", final=False), queue=result.queue,
        fallback_queue="general",
        tier=priority.tier, tier_why=priority.tier_why, target_s=priority.target.total_seconds(),
        target_why=priority.target_why, deadline=priority.deadline, tags=result.tags, skills=result.skills,
        attributes=result.attributes, stopped_by=result.stopped_by, rules=result.traces,
    )  # fmt: skip
    assert describe(decision) == [
        "waits in queue general; acknowledged with hello (rule ack)",
        "priority P1 because of rule vip",
        "due 2026-03-04 11:00 UTC because email, P1 (1h)",
        "tags: a, b, x",
        "skills: german",
        "set plan to 'x'",
        "rule vip fired: queue general, tier P1",
        "rule other fired: queue late (not applied: rule vip was first), tags [a, b], skills [german], set.plan x",
        "rule end fired: tags [x], stop",
        "rule lists did not fire: header.List-Id should exist — was empty",
        "rule not-mail did not fire: not: channel is email — was 'email'",
        "rule orders did not fire: text starts with [order] — was 'Hello, where is it?'",
        "rule after was not looked at: rule end had stopped",
    ]
