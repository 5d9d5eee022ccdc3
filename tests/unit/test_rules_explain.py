"""Why a rule did not fire, in words: every comparison that mattered, with the value that it met."""

from zoneinfo import ZoneInfo

import pytest

from router.core.triage import decide
from rules.explain import describe
from rules.explain_json import explained
from schemas.decision import Decision, Facts
from schemas.fast import as_model, as_struct
from schemas.interaction import Attachment
from tests.kit.contacts import NOW
from tests.kit.policies import accepted, policy


def decided(when: str) -> Decision:
    chosen = policy(f"- {{name: r, tags: t, when: {when}}}")
    interaction = accepted(
        subject="Where is my parcel?", language="de", attachments=(Attachment(name="a.pdf", media_type="a/b", size=9),)
    )
    return as_model(decide(chosen, as_struct(interaction), Facts(customer_tier="gold"), NOW, trace_all=True))


@pytest.mark.parametrize(
    ("when", "words"),
    [
        (
            "{any: [{channel: [chat, phone_log]}, {language: en}, {customer_tier: {exists: false}}]}",
            "none of these holds: channel is one of [chat, phone_log] — was 'email'; language is en — was 'de'; "
            "customer_tier does not exist — was 'gold'",
        ),
        # of a part with several comparisons: the one that kept it from holding
        (
            "{any: [{channel: email, language: en}, {not: {customer_tier: gold}}]}",
            "none of these holds: language is en — was 'de'; not: customer_tier is gold — was 'gold'",
        ),
        (
            "{any: [{attachments: {more_than: 1}}, {any: [{channel: chat}, {channel: phone_log}]}]}",
            "none of these holds: attachments is more than 1 — was '1'; "
            "channel is chat — was 'email'; channel is phone_log — was 'email'",
        ),
        (
            "{not: {all: [{channel: email}, {subject: {contains: parcel}}]}}",
            "not: these hold: channel is email — was 'email'; "
            "subject contains any of [parcel] — was 'Where is my parcel?'",
        ),
        ("{not: {any: [{channel: chat}, {language: [de, en]}]}}", "not: language is one of [de, en] — was 'de'"),
        ("{not: {not: {channel: chat}}}", "channel is chat — was 'email'"),
        (
            "\"attachments > 1 && customer_tier == 'gold'\"",
            "the expression does not hold: attachments > 1 && customer_tier == 'gold' — "
            "attachments was 1, customer_tier was 'gold'",
        ),
        (
            "{not: \"subject.contains('parcel')\"}",
            "the expression holds: subject.contains('parcel') — subject was 'Where is my parcel?'",
        ),
        (
            "\"has(attribute.order) && 'x' in flags\"",
            "the expression does not hold: has(attribute.order) && 'x' in flags — attribute was {}, flags was []",
        ),
        (
            "{any: [{not: 'attachments >= 0'}, 'attachments > 99 || language == \"en\"']}",
            "none of these holds: not: the expression attachments >= 0 — attachments was 1; "
            "the expression attachments > 99 || language == \"en\" — attachments was 1, language was 'de'",
        ),
        (
            "{any: [{form.a b: {equals: q}}, {channel: chat}]}",
            "none of these holds: form.a b is q — was empty; channel is chat — was 'email'",
        ),
    ],
)
def test_all_that_mattered_is_named(when: str, words: str) -> None:
    decision = decided(when)
    assert f"rule r did not fire: {words}" in describe(decision)
    (rule,) = explained(decision)["rules"]
    assert set(rule["failed"]) == {"path", "field", "operator", "expected", "actual"}


def test_decisions_of_before_are_read_as_they_were_recorded() -> None:
    decision = decided("{any: [{channel: chat}, {language: en}]}")
    failed = decision.rules[0].failed
    assert failed is not None
    old = failed.model_copy(update={"expected": ["channel equals chat", "language equals en"], "actual": "email"})
    told = decision.model_copy(update={"rules": (decision.rules[0].model_copy(update={"failed": old}),)})
    assert any("channel equals chat" in line and "was 'email'" in line for line in describe(told))


def test_a_deadline_names_the_business_hours_by_which_it_was_counted() -> None:
    hours = {"timezone": "Europe/Berlin", "hours": {"mon-fri": ["09:00-17:00"]}}
    calendars = {"default": hours, "late": hours}
    for queue, name in (("general", "default"), ("night", "late")):
        chosen = policy(
            f"- {{name: r, queue: {queue}}}",
            business_hours=calendars,
            queues={"general": {}, "night": {"business_hours": "late"}},
        )
        decision = as_model(decide(chosen, as_struct(accepted()), Facts(), NOW))
        assert any(
            line.startswith("due ") and line.endswith(f"(8h in business hours {name})") for line in describe(decision)
        )
    always = as_model(decide(policy("- {name: r, queue: general}"), as_struct(accepted()), Facts(), NOW))
    assert any(line.endswith("because email, P3 (8h)") for line in describe(always))


def test_of_many_values_it_says_how_many_more_there_are_and_a_flag_is_no_text() -> None:
    many = decided("{text: {contains: [a1, a2, a3, a4, a5, a6, a7, a8, a9, a10]}}").rules[0].failed
    flag = decided("{automatic: true}").rules[0].failed
    assert many is not None
    assert flag is not None
    assert many.expected == ["a1", "a2", "a3", "a4", "a5", "a6", "a7", "a8", "… and 2 more"]
    assert (flag.expected, flag.actual) == (True, False)


def test_due_is_told_in_the_local_time_of_the_queue() -> None:
    always = {"mon-sun": ["00:00-24:00"]}
    hours = {name: {"timezone": zone, "hours": always} for name, zone in (("default", "Europe/Berlin"), ("us", "EST"))}
    chosen = policy(
        "- {name: r, when: {channel: email}, queue: overseas}",
        business_hours=hours,
        queues={"general": {}, "overseas": {"business_hours": "us"}},
    )
    made = as_model(decide(chosen, as_struct(accepted()), Facts(), NOW))
    (due,) = [line for line in describe(made, chosen.source) if line.startswith("due ")]
    assert due.startswith(f"due {made.deadline.astimezone(ZoneInfo('EST')):%Y-%m-%d %H:%M} EST because ")
    assert [str(chosen.source.zone_of(queue)) for queue in ("general", None, "gone")] == ["Europe/Berlin"] * 3
    assert str(policy("").source.zone_of("general")) == "UTC"
