"""Order, first writer wins, stop, release, traces; fields and operators one by one."""

from typing import Any

import msgspec
import pytest

from rules import index
from rules.engine import ChosenAnswer, evaluate, evaluate_batch
from rules.expression import MANY
from rules.fields import FIELDS
from rules.model import TemplateText
from rules.policy import Policy
from schemas.decision import Facts
from schemas.interaction import Attachment, WebFormContent
from tests.kit.contacts import NOW, call, chat, email, web_form
from tests.kit.policies import accepted, policy

ONE = """
- name: r
  when: {%s}
  tags: yes
"""


def fires(when: str, contact: Any = None, facts: Facts | None = None, **more: Any) -> bool:
    chosen = policy(ONE % when)
    return bool(evaluate(chosen, accepted(contact, **more), facts or Facts(), NOW).tags)


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("subject: {contains: [parcel, order]}", True),
        ("subject: {contains: order}", False),
        ("subject: {contains_all: [parcel, where]}", True),
        ("subject: {contains_all: [parcel, order]}", False),
        ("text: {contains: parcel}", False),
        ("message: {contains: parcel}", True),
        ("message: {contains_all: [parcel, hello]}", True),  # one in the subject, one in the text
        ("subject: {contains: arc, match: part}", True),
        ("subject: {starts_with: where}", True),
        ("subject: {ends_with: [parcel?, order?]}", True),
        ("subject: {equals: where is my PARCEL?}", True),
        ("subject: {in: [x, where is my parcel?]}", True),
        ("subject: {regex: 'Where .* p[a-z]+'}", True),
        ("subject: {regex: 'where'}", False),  # a regex sees the text as it came
        ("subject: {starts_with: where, ends_with: order?}", False),  # both have to hold
        ("subject: {exists: false}", False),
        ("header: {name: list-id, exists: true}", True),
        ("header: {name: X-None, exists: false}", True),
        ("header.List-Id: {contains: shop}", True),
        ("channel: email", True),
        ("channel: [chat, web_form]", False),
        ("sender: Ann@Example.org", True),
        ("sender: {domain: EXAMPLE.org}", True),
        ("sender: {domain: [ample.org, le.org]}", False),
        ("verdict: unknown", True),
        ("account: [support, sales]", True),
        ("language: en", True),
        ("language: {exists: false}", False),
        ("automatic: false", True),
        ("automatic: true", False),
        ("attribute.plan: Gold", True),
        ("attribute.other: {exists: true}", False),
        ("customer_tier: gold", True),
        ("customer_tags: press", True),
        ("customer_tags: {contains_all: [press, other]}", False),
        ("business_hours: open", True),
        ("business_hours: closed", False),
        ("queue: {exists: false}", True),
        ("sender_domain: example.org", True),
        ("sender: {domain: '*.org'}", True),
        ("sender: {domain: '*.example.org'}", False),
        ("to: {domain: shop.example}", True),
        ("recipient: Support@shop.example", True),
        ("header.X-Ip: {cidr: [10.0.0.0/8, 192.0.2.0/24]}", True),
        ("header.X-Ip: {cidr: 10.0.0.0/8}", False),
        ("attachments: {at_least: 1}", True),
        ("attachments: 0", False),
        ("attachment_name: {ends_with: .pdf}", True),
        ("attachment_type: {starts_with: application/}", True),
        ("attachment_size: {more_than: 1MB, less_than: 3MB}", True),
        ("size: {less_than: 1KiB}", False),
        ("occasion: first", True),
        ("contacts.7: {at_least: 2}", True),
        ("contacts.3: {at_least: 2}", False),
        ("open_items: {exists: true}", True),
        ("customer_segment: Trade", True),
        ("known: false", True),
        ("age: {less_than: 2h}", True),
        ("weekday: [wed, thu]", True),
        ("weekday: {in: [mon]}", False),
        ("time: ['06:00-09:00', '10:00-18:00']", True),
        ("time: {at_least: '10:01'}", False),
        ("time: '22:00-06:00'", False),
        ("holiday: false", True),
        ("flags: suppressed", False),
        ("new_text: {contains: hello}", True),
        ("not: {channel: email}", False),
        ("any: [{channel: chat}, {channel: email}]", True),
        ("all: [{channel: chat}, {account: support}]", False),
        ("any: [{not: {any: [{channel: chat}]}}]", True),
    ],
)
def test_conditions(when: str, expected: bool) -> None:
    contact = email(
        headers=(("List-ID", "news.shop"), ("Subject", "x"), ("X-Ip", "[192.0.2.7]")),
        attributes={"plan": "gold"},
        language="en",
        attachments=(Attachment(name="Invoice.PDF", media_type="application/pdf", size=2_000_000),),
    )
    facts = Facts(
        customer_tier="Gold", customer_tags=("Press",), customer_segment="trade", contacts_7d=2, contact_days=(1, 6)
    )
    assert fires(when, contact, facts) is expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("channel == 'email' && subject.contains('parcel')", True),
        ("header['list-id'] == 'news.shop'", True),
        ("attachments > 0", False),
        ("to.exists(one, one.endsWith('shop.example'))", True),
        ("contacts_7d >= 2 && customer_tier == 'Gold'", False),
        ("attribute['none'] == 'x'", False),  # breaks, and so does not fire
        ("flags.exists(flag, flag == 'left')", True),
        ("'right' in flags && size(flags) == 2", True),
        ("size(phone) == 0", True),
    ],
)
def test_expressions(expression: str, expected: bool) -> None:
    chosen = policy(f'- {{name: r, when: "{expression}", tags: yes}}')
    contact = email(headers=(("List-ID", "news.shop"),))
    interaction = accepted(contact, flags=("left", "right"))
    assert bool(evaluate(chosen, interaction, Facts(), NOW).tags) is expected


def test_in_expressions_fields_of_many_values_are_lists() -> None:
    named = call(sender={"kind": "phone", "address": "+491"}, content={**call().content.model_dump(), "caller": "+492"})
    both = policy("- {name: r, when: \"'+491' in phone && '+492' in phone\", tags: yes}")
    assert evaluate(both, accepted(named), Facts(), NOW).tags == ("yes",)
    one = {"weekday", "time", "holiday", "business_hours", "queue", "tier"}
    several = {name for name, field in FIELDS.items() if field.plain is None and not field.named}
    assert several - one - {"message"} == set(MANY)


def test_the_new_text_is_what_is_not_quoted() -> None:
    contact = email(text="thanks\n> where is my order")
    content = contact.content.model_copy(update={"new_text": "thanks"})
    contact = contact.model_copy(update={"content": content})
    assert fires("text: {contains: order}", contact)
    assert not fires("new_text: {contains: order}", contact)


def test_events_are_united_and_affinity_is_won_by_the_first() -> None:
    chosen = policy(
        "- {name: a, order: 1, notify: [lead, ops], affinity: false}\n"
        "- {name: b, order: 2, notify: lead, webhook: [crm], affinity: true}"
    )
    result = evaluate(chosen, accepted(), Facts(), NOW)
    assert (result.notify, result.webhook, result.affinity) == (("lead", "ops"), ("crm",), False)
    assert [(a.kind, a.lost_to) for a in result.traces[1].actions if not a.applied] == [("affinity", "a")]


def test_fields_of_other_channels_are_empty() -> None:
    form = web_form()
    form = form.model_copy(update={"content": WebFormContent(form="contact", fields={"topic": "Order"})})
    assert fires("form.topic: order", form)
    assert not fires("form.topic: {exists: true}", chat())
    assert not fires("header: {name: Subject, exists: true}", chat())
    assert fires("channel: phone_log", call())


def test_phone_numbers_are_compared_however_people_write_them() -> None:
    caller = call(sender={"kind": "phone", "address": "+49301234567"})
    for written in ("+49 30 1234567", "+49 (30) 123-45-67", "+49301234567"):
        assert fires(f"phone: {{equals: '{written}'}}", caller)
    assert fires("phone: {starts_with: '+49 (30)'}", caller)
    assert not fires("phone: {equals: '+49 30 1234568'}", caller)


def test_text_is_read_up_to_the_limit() -> None:
    assert fires("text: {contains: end}", email(text="x" * (65536 - 4) + " end"))
    for condition in ("text: {contains: end}", "text: {ends_with: end}", "message: {regex: end}"):
        assert not fires(condition, email(text="x" * 65536 + " end"))


TEMPLATES = {name: {"en": TemplateText(text=name)} for name in ("first", "second")}
CHAIN = """
- {name: late, order: 200, tags: [c, a], queue: general}
- {name: b, order: 10, answer: second, tags: b, set: {plan: b, other: b}, tier: P1}
- {name: a, order: 10, answer: first, tags: [a], skills: [german], set: {plan: a}, target: 90m}
- {name: so-far, order: 50, when: {tags: b, tier: P1, queue: {exists: false}}, queue: support, stop: true}
"""


def chain() -> Policy:
    return policy(CHAIN, templates=TEMPLATES, queues={"general": {}, "support": {}})


def test_by_order_then_name_the_first_writer_wins() -> None:
    result = evaluate(chain(), accepted(), Facts(), NOW)
    assert [trace.name for trace in result.traces] == ["a", "b", "so-far", "late"]
    assert result.answer == ChosenAnswer("a", "first")
    assert result.tags == ("a", "b")
    assert result.attributes == {"plan": "a", "other": "b"}
    assert (result.tier, result.tier_rule) == ("P1", "b")
    assert result.target is not None and result.target_rule == "a"
    lost = [(a.kind, a.lost_to) for a in result.traces[1].actions if not a.applied]
    assert lost == [("answer", "a"), ("set.plan", "a")]


def test_stop_ends_and_the_rest_shows() -> None:
    result = evaluate(chain(), accepted(), Facts(), NOW)
    assert result.stopped_by == "so-far"
    assert result.queue == "support"
    assert result.traces[-1].result == "after_stop"


def test_a_rule_with_an_answer_is_for_first_messages_unless_it_says_otherwise() -> None:
    result = evaluate(chain(), accepted(occasion="follow_up"), Facts(), NOW)
    failed = result.traces[0].failed
    assert result.answer is None and failed is not None
    assert (failed.path, failed.expected, failed.actual) == ("on", ["first"], "follow_up")
    always = policy("- {name: x, on: [first, follow_up], answer: first}", templates=TEMPLATES)
    assert evaluate(always, accepted(occasion="follow_up"), Facts(), NOW).answer is not None


def test_the_first_failing_condition_with_its_value() -> None:
    rules = """
- name: deep
  when:
    channel: email
    all:
      - subject: {contains: parcel}
      - text: {contains: [order, Bestellung]}
  tags: x
- {name: negated, when: {not: {channel: [email]}}, tags: x}
- {name: either, when: {any: [{channel: chat}, {verdict: verified}]}, tags: x}
"""
    deep, either, negated = evaluate(policy(rules), accepted(), Facts(), NOW, trace_all=True).traces
    assert deep.failed is not None and either.failed is not None and negated.failed is not None
    assert msgspec.to_builtins(deep.failed) == {
        "path": "when.all[1].text",
        "field": "text",
        "operator": "contains",
        "expected": ["order", "Bestellung"],
        "actual": "Hello, where is it?",
    }
    assert (deep.file, deep.line) == ("rules/a.yaml", 2)
    assert (negated.failed.path, negated.failed.operator) == ("when.not", "not in")
    assert msgspec.to_builtins(either.failed) == {
        "path": "when.any",
        "field": "channel, verdict",
        "operator": "any",
        "expected": ["channel equals chat", "verdict equals verified"],
        "actual": ["email", "unknown"],
    }


def test_values_in_a_trace_are_short() -> None:
    result = evaluate(
        policy("- {name: x, when: {text: {equals: y}}, tags: z}"), accepted(text="a" * 5000), Facts(), NOW
    )
    assert result.traces[0].failed is not None
    assert len(result.traces[0].failed.actual) == 81


def test_a_released_hold_lets_go_of_the_item() -> None:
    rules = """
- {name: spam, order: 1, when: {subject: {contains: parcel}}, hold: spam, tags: spam, stop: true}
- {name: rest, queue: general}
"""
    held = evaluate(policy(rules), accepted(), Facts(), NOW)
    assert (held.hold, held.hold_rule, held.queue, held.stopped_by) == ("spam", "spam", None, "spam")
    for result in (
        evaluate(policy(rules), accepted(released=["spam"]), Facts(), NOW),
        evaluate(policy(rules), accepted(released_from="spam"), Facts(), NOW),  # written by an older version
    ):
        assert (result.hold, result.queue, result.stopped_by, result.tags) == (None, "general", None, ("spam",))
        assert [a.kind for a in result.traces[0].actions if not a.applied] == ["hold", "stop"]
    other = evaluate(policy(rules), accepted(released=["other"]), Facts(), NOW)
    assert other.hold == "spam"


def test_an_item_that_two_rules_hold_is_released_from_both() -> None:
    rules = """
- {name: spam, order: 1, when: {subject: {contains: parcel}}, hold: spam, stop: true}
- {name: unproved, order: 2, when: {subject: {contains: parcel}}, hold: unverified, stop: true}
- {name: rest, queue: general}
"""
    held = [evaluate(policy(rules), accepted(released=names), Facts(), NOW) for names in ([], ["spam"], ["unproved"])]
    assert [result.hold_rule for result in held] == ["spam", "unproved", "spam"]
    free = evaluate(policy(rules), accepted(released=["spam", "unproved"]), Facts(), NOW)
    assert (free.hold, free.queue, free.stopped_by) == (None, "general", None)


@pytest.mark.parametrize(
    "sender",
    [
        *("a＠vip.example", "evil@bad.example＠vip.example", "evil@bad.example﹫sub.vip.example", "evil@víp.example"),
        *("evil@bad/․vip.example", "evil@vip.example.bad.example"),
    ],
)
def test_an_address_that_only_folding_makes_one_of_a_domain_is_none_of_it(sender: str) -> None:
    rules = """
- {name: plain, when: {sender: {domain: [vip.example, "*.vip.example"]}}, tags: plain}
- {name: anchored, when: {sender: {domain: vip.example}}, tags: anchored}
- {name: either, when: {any: [{sender: {domain: vip.example}}, {sender_domain: vip.example}]}, tags: either}
- {name: to, when: {to: {domain: vip.example}}, tags: to}
- {name: end, when: {sender: {ends_with: "@vip.example"}}, tags: end}
- {name: other, when: {not: {sender: {domain: [vip.example, "*.vip.example"]}}}, tags: other}
"""
    contact = email(sender=sender)
    contact = contact.model_copy(update={"content": contact.content.model_copy(update={"to": (sender,)})})
    assert evaluate(policy(rules), accepted(contact), Facts(), NOW).tags == ("other",)


def test_a_domain_is_the_same_in_letters_and_as_the_dns_has_it() -> None:
    rules = """
- {name: domain, when: {sender: {domain: müller.example}}, tags: domain}
- {name: equals, when: {sender: "info@MÜLLER.example"}, tags: equals}
- {name: end, when: {sender: {ends_with: "@müller.example"}}, tags: end}
- {name: word, when: {sender_domain: xn--mller-kva.example}, tags: word}
"""
    for sender in ("info@müller.example", "Info@Müller.Example", "info@xn--mller-kva.example"):
        result = evaluate(policy(rules), accepted(email(sender=sender)), Facts(), NOW)
        assert set(result.tags) == {"domain", "equals", "end", "word"}, sender


def test_the_index_leaves_out_what_cannot_fire() -> None:
    rules = "\n".join(
        f"- {{name: r{n:03}, when: {{message: {{contains: [word{n}]}}}}, tags: t{n}}}" for n in range(200)
    )
    result = evaluate(policy(rules), accepted(subject="word7 word70"), Facts(), NOW)
    assert (result.considered, result.tags) == (2, ("t7", "t70"))
    assert len(result.traces) == 2
    everything = evaluate(policy(rules), accepted(subject="word7 word70"), Facts(), NOW, trace_all=True)
    assert (everything.considered, everything.tags, len(everything.traces)) == (2, ("t7", "t70"), 200)


def test_a_broken_rule_does_not_fire_and_the_others_do(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = policy("- {name: bad, when: {channel: email}, tags: bad}\n- {name: good, tags: good}")

    def broken(_: object) -> bool:
        raise RuntimeError("boom")

    object.__setattr__(chosen.rules.rules[0], "why_not", broken)
    result = evaluate(chosen, accepted(), Facts(), NOW)
    assert result.tags == ("good",)
    assert result.errors == ("rule bad: RuntimeError: boom",)
    assert result.traces[0].failed is not None and result.traces[0].failed.operator == "error"
    monkeypatch.setattr(index.Index, "candidates", broken)
    assert len(evaluate(chosen, accepted(), Facts(), NOW).errors) == 2


def test_a_batch_gives_one_result_each_in_order() -> None:
    chosen = policy("- {name: x, when: {subject: {contains: two}}, tags: two}")
    items = [(accepted(subject=s), Facts()) for s in ("one", "two", "three")]
    assert [bool(result.tags) for result in evaluate_batch(chosen, items, NOW)] == [False, True, False]
