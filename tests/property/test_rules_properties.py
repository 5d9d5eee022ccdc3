"""What has to hold for any text, any rules, any calendar."""

import re
import sys
import unicodedata
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from router.core.answers import compose
from router.core.triage import decide
from rules import folding
from rules.calendar import SEARCH, Calendar, compile_calendar
from rules.check import check
from rules.compile import CompiledRules
from rules.difference import Difference
from rules.engine import RuleResult, evaluate
from rules.explain import describe
from rules.fields import FIELDS, OPERATORS, View
from rules.index import Index
from rules.model import (
    All,
    AnyOf,
    BusinessHours,
    Condition,
    Expression,
    Leaf,
    Not,
    PolicySource,
    Queue,
    Rule,
    TemplateText,
)
from rules.parse import Reader
from rules.phrases import SUBJECT, TEXT, Hits, PhraseBook
from rules.policy import Policy, compile_policy
from rules.priority import prioritise
from rules.quantities import MEASURES
from rules.templates import TemplateError, compile_template, render
from rules.tree import parse_yaml
from rules.words import Phrase, normal
from schemas.decision import TIERS
from schemas.fast import as_struct
from schemas.structs import Decision, Facts
from schemas.text import fold
from tests.kit.contacts import NOW, call, chat, email, web_form
from tests.kit.policies import accepted, example_policy

# Few words, in several scripts and with traps, so that texts and rules meet often.
WORDS = [
    *("order", "Order", "reorder", "o\u00adrder", "Straße", "STRASSE", "café", "注文", "ご", "주문", "ส", "поръчка"),
    *("कम", "कमी", "#1", "c++", "a_b", "1", "12", "ﬁ", "℡", "İ", "ǆ"),
]
PHRASES = st.lists(st.sampled_from(WORDS), min_size=1, max_size=2).map(" ".join)
GAPS = st.sampled_from(["", " ", "\n", ", ", "-", "\u200b"])
TEXTS = st.lists(st.tuples(st.sampled_from(WORDS), GAPS), max_size=8).map(
    lambda pairs: "".join(word + gap for word, gap in pairs)
)
ANY_TEXT = st.text(st.characters(codec="utf-8"), max_size=200)


# Signs that folding makes an @ or a dot of, and domains that only look alike.
ADDRESSES = st.sampled_from(
    [
        *("ann@example.org", "ANN@Example.ORG", "ann@sub.example.org", "ann@exámple.org", "ann@xn--exmple-qta.org"),
        *(
            "ann＠example.org",
            "evil@bad.example＠example.org",
            "evil@bad﹫sub.example.org",
            "ann@example．org",
            "x",
            "@",
        ),
    ]
)


def _moments(first: int, last: int) -> st.SearchStrategy[datetime]:
    start, end = (datetime(year, 1, 1, tzinfo=UTC).replace(tzinfo=None) for year in (first, last))
    return st.datetimes(start, end, timezones=st.just(UTC))


@st.composite
def leaves(draw: st.DrawFn) -> Leaf:
    name = draw(st.sampled_from(["subject", "text", "message", "subject", "text", "message", *FIELDS]))
    field = FIELDS[name]
    operator = draw(st.sampled_from(["contains", "contains_all", *OPERATORS[field.kind]]))
    if operator not in OPERATORS[field.kind]:
        operator = OPERATORS[field.kind][0]
    value: Any
    if operator == "exists" or field.kind == "flag":
        value = draw(st.booleans())
    elif operator == "regex":
        value = draw(st.sampled_from(["(?i)order", r"\d+", "^$", "(a+)+$", "[^a-z]"]))
    elif operator == "cidr":
        value = draw(st.sampled_from(["192.0.2.0/24", "::/0"]))
    elif operator == "between":
        value = draw(st.sampled_from([("09:00-12:30", "13:30-18:00"), ("22:00-06:00",)]))
    elif field.kind in MEASURES:
        value = draw(st.sampled_from(["10:59", "11:00", "11:01"] if field.kind == "clock" else ["0", "1", "17", "1KB"]))
        value = (value,) if operator == "in" else value
    elif operator == "domain":
        value = draw(st.sampled_from([("example.org",), ("*.org", "x"), ("*.example.org",), ("exámple.org",)]))
    elif field.kind == "address" and operator in ("equals", "in", "starts_with", "ends_with"):
        value = draw(ADDRESSES)
        value = value if operator == "equals" else (value,)
    elif field.values:
        value = draw(st.sampled_from(field.values))
    elif name == "queue":
        value = "general"
    elif operator == "equals":
        value = draw(PHRASES)
    else:
        value = tuple(draw(st.lists(PHRASES, min_size=1, max_size=3)))
    return Leaf(
        field=name,
        name=draw(st.sampled_from(["3", "7"])) if name == "contacts" else "x" if field.named else "",
        operator=operator,
        value=value,
        match=draw(st.sampled_from(["word", "part"])),
    )


EXPRESSIONS = st.sampled_from(["'order' in tags", "subject.contains('a') || tier == 'P1'", "attachments == 0"]).map(
    lambda source: Expression(cel=source)
)
CONDITIONS: st.SearchStrategy[Condition] = st.recursive(
    leaves() | EXPRESSIONS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda parts: All(all=tuple(parts))),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: AnyOf(any=tuple(parts))),
        inner.map(lambda part: Not(negated=part)),
    ),
    max_leaves=6,
)


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    rules = [
        Rule(
            name=f"r{number}",
            order=draw(st.integers(0, 3)),
            when=draw(st.none() | CONDITIONS) if number else draw(CONDITIONS),
            tags=(f"t{number}", draw(st.sampled_from(WORDS))),
            tier=draw(st.none() | st.sampled_from(TIERS)),
            queue=draw(st.none() | st.just("general")),
            hold=draw(st.none() | st.just("check")),
            stop=draw(st.sampled_from([False, False, True])),
        )
        for number in range(draw(st.integers(1, 6)))
    ]
    # Rules behind an unconditional stop are a mistake that the check refuses.
    rules = [rule.model_copy(update={"stop": False}) if rule.when in (None, All(all=())) else rule for rule in rules]
    source = PolicySource(rules=tuple(rules), queues={"general": Queue()})
    # So are rules that can never fire.
    assume(not check(source))
    return compile_policy(source)


class OneByOne(PhraseBook):
    """Looks for each phrase by itself."""

    def __init__(self, phrases: Sequence[Phrase]) -> None:
        self._all = phrases

    def scan(self, subject: str, text: str) -> Hits:
        subject, text = normal(subject), normal(text)
        found = [p.found_in(subject) * SUBJECT | p.found_in(text) * TEXT for p in self._all]
        return {number: where for number, where in enumerate(found) if where}


class Everything(Index):
    """Leaves nothing out."""

    def __init__(self, phrases: PhraseBook, rules: int) -> None:
        super().__init__(phrases)
        self._rules = rules

    def candidates(self, _: View) -> list[int]:
        return list(range(self._rules))


def without_index(policy: Policy) -> Policy:
    rules, phrases = policy.rules.rules, OneByOne(policy.rules.index.phrases.phrases)
    return replace(policy, rules=CompiledRules(rules, Everything(phrases, len(rules))))


def decided(result: RuleResult) -> Any:
    fired = tuple(trace for trace in result.traces if trace.result == "fired")
    return replace(result, traces=fired, considered=0)


@settings(max_examples=400, deadline=None)
@given(
    policy=policies(),
    subject=TEXTS,
    text=TEXTS,
    released=st.lists(st.sampled_from(["r0", "r1"])),
    sender=ADDRESSES,
)
def test_the_index_never_changes_a_decision(
    policy: Policy, subject: str, text: str, released: list[str], sender: str
) -> None:
    contact = email(sender=sender)
    interaction = accepted(contact, subject=subject, text=text, attributes={"x": text}, released=released)
    with_index = evaluate(policy, interaction, Facts(), NOW)
    assert decided(with_index) == decided(evaluate(without_index(policy), interaction, Facts(), NOW))
    assert decided(with_index) == decided(evaluate(policy, interaction, Facts(), NOW, trace_all=True))
    assert with_index.errors == ()


DOMAINS = st.lists(
    st.sampled_from(["example.org", "*.example.org", "exámple.org", "xn--exmple-qta.org", "bad.example"]),
    min_size=1,
    max_size=2,
)


@settings(max_examples=200, deadline=None)
@given(domains=st.lists(DOMAINS, min_size=1, max_size=3), senders=st.lists(ADDRESSES, min_size=1, max_size=4))
def test_a_domain_is_looked_up_as_it_is_compared(domains: list[list[str]], senders: list[str]) -> None:
    leaves = [Leaf(field="sender", operator="domain", value=tuple(each)) for each in domains]
    plain = [
        Leaf(field="sender_domain", operator="in", value=("x.example", *(text for text in each if "*" not in text)))
        for each in domains
    ]
    rules = [Rule(name=f"r{n}", when=when, tags=(f"t{n}",)) for n, when in enumerate((*leaves, *plain))]
    policy = compile_policy(PolicySource(rules=tuple(rules), queues={"general": Queue()}))
    for sender in senders:
        interaction = accepted(email(sender=sender))
        with_index = evaluate(policy, interaction, Facts(), NOW)
        assert decided(with_index) == decided(evaluate(without_index(policy), interaction, Facts(), NOW))
        for n, each in enumerate(domains):
            if not any("*" in text for text in each):
                assert (f"t{n}" in with_index.tags) is (f"t{n + len(domains)}" in with_index.tags)


_FEW = {
    "language": ("en", "de", "DE", ""),
    "customer_tier": ("gold", "Gold", ""),
    "account": ("support", "Support", "sales"),
    "verdict": ("verified", "unknown"),
    "channel": ("email", "chat"),
}
FEW_VALUES = st.sampled_from(sorted(_FEW)).flatmap(
    lambda name: st.lists(st.sampled_from(_FEW[name]), min_size=1, max_size=2).map(
        lambda values: Leaf(field=name, operator="in", value=tuple(values))
    )
)
SOME_WORDS = PHRASES.map(lambda words: Leaf(field="message", operator="contains", value=(words,)))


@settings(max_examples=300, deadline=None)
@given(
    conditions=st.lists(
        st.recursive(
            FEW_VALUES | FEW_VALUES | SOME_WORDS,
            lambda inner: st.one_of(
                st.lists(inner, min_size=1, max_size=3).map(lambda parts: All(all=tuple(parts))),
                st.lists(inner, min_size=1, max_size=2).map(lambda parts: AnyOf(any=tuple(parts))),
                inner.map(lambda part: Not(negated=part)),
            ),
            max_leaves=5,
        ),
        min_size=1,
        max_size=5,
    ),
    many=st.lists(
        st.tuples(*map(st.sampled_from, (("en", "De", None), ("gold", "GOLD", None))), TEXTS), min_size=1, max_size=6
    ),
)
def test_values_that_few_have_never_change_a_decision(
    conditions: list[Condition], many: list[tuple[str | None, str | None, str]]
) -> None:
    source = PolicySource(
        rules=tuple(Rule(name=f"r{n}", when=when, tags=(f"t{n}",)) for n, when in enumerate(conditions)),
        queues={"general": Queue()},
    )
    assume(not check(source))
    policy = compile_policy(source)
    for language, tier, text in many:
        facts, interaction = Facts(customer_tier=tier), accepted(text=text, language=language)
        with_index = evaluate(policy, interaction, facts, NOW)
        assert decided(with_index) == decided(evaluate(without_index(policy), interaction, facts, NOW))


@st.composite
def drafts(draw: st.DrawFn) -> tuple[Policy, Policy]:
    """A policy of rules that look for words, and another one made of it: some are left out, moved, or do otherwise."""
    one, other = [], []
    for number in range(draw(st.integers(1, 4))):
        words = Leaf(field="message", operator="contains", value=(draw(st.sampled_from(WORDS)),), match="part")
        so_far = Leaf(field="tags", operator="contains", value=(draw(st.sampled_from(["t0", "t1"])),))
        rule = Rule(
            name=f"r{number}",
            order=draw(st.integers(0, 3)),
            when=draw(st.sampled_from([words, words, All(all=(words, so_far))])),
            tags=(f"t{number}",),
            tier=draw(st.none() | st.sampled_from(TIERS)),
            stop=draw(st.booleans()),
        )
        one.append(rule)
        change = draw(st.sampled_from(["", "", "out", "order", "stop", "tier"]))
        values = {"order": {"order": 3 - rule.order}, "stop": {"stop": not rule.stop}, "tier": {"tier": "P4"}}
        if change != "out":
            other.append(rule.model_copy(update=values.get(change, {})))
    sources = [PolicySource(rules=tuple(rules)) for rules in (one, other)]
    assume(not any(check(source) for source in sources))
    return compile_policy(sources[0]), compile_policy(sources[1])


@settings(max_examples=300, deadline=None)
@given(both=drafts(), subject=TEXTS, text=TEXTS)
def test_what_two_policies_do_not_differ_in_is_decided_alike(
    both: tuple[Policy, Policy], subject: str, text: str
) -> None:
    interaction = as_struct(accepted(subject=subject, text=text, attributes={"x": text}))
    if not Difference(*both).touches(interaction, Facts(), NOW):
        one, other = (decide(policy, interaction, Facts(), NOW) for policy in both)
        assert (one.queue, one.tier, one.outcome, one.hold, one.tags, one.stopped_by) == (
            (other.queue, other.tier, other.outcome, other.hold, other.tags, other.stopped_by)
        )


LETTERS = st.text(st.sampled_from("aÄßéøłŁŐİıŞşЁёйІ’“—…\u00a0\u00ad\u200b\u0301\t \nµ½ĳ㎏のが한"), max_size=12)


@settings(max_examples=500)
@given(text=LETTERS | TEXTS | ANY_TEXT)
def test_the_quick_way_to_fold_a_text_gives_what_unicode_says(text: str) -> None:
    visible = re.sub(f"[{folding._INVISIBLE}]", "", text)
    for typed, others in folding._TYPED:
        visible = re.sub(f"[{others}]", typed, visible)
    assert normal(text) == " ".join(fold(visible).casefold().split())


def test_no_mark_is_left_out_of_the_table() -> None:
    marks = [code for code in range(sys.maxunicode + 1) if unicodedata.combining(chr(code))]
    assert marks == folding._MARKS


@given(text=ANY_TEXT)
def test_the_normal_form_is_stable(text: str) -> None:
    assert normal(normal(text)) == normal(text)


@settings(max_examples=200, deadline=None)
@given(
    subject=ANY_TEXT,
    text=ANY_TEXT,
    name=ANY_TEXT,
    make=st.sampled_from([email, chat, web_form, call]),
    tier=st.none() | ANY_TEXT,
    occasion=st.sampled_from(["first", "follow_up", "reopened"]),
    language=st.none() | st.sampled_from(["de", "fr-CA", "xx", ""]) | ANY_TEXT,
    now=_moments(1990, 2100),
)
def test_the_example_policy_decides_on_anything(
    subject: str, text: str, name: str, make: Any, tier: str | None, occasion: Any, language: str | None, now: datetime
) -> None:
    policy = example_policy()
    interaction = accepted(make(text=text, received_at=now, language=language), subject=subject, occasion=occasion)
    interaction = interaction.model_copy(update={"sender": interaction.sender.model_copy(update={"name": name})})
    facts = Facts(customer_tier=tier, customer_tags=(text,))
    result = evaluate(policy, interaction, facts, now)
    assert result.errors == ()
    priority = prioritise(policy, interaction, facts, result)
    assert priority.deadline >= interaction.received_at
    rendered = compose(policy, interaction, result, final=False, queue="support", now=now) if result.answer else None
    assert rendered is None or rendered.text
    decision = Decision(
        id="d", interaction_id="i", conversation_id="c", seq=1, policy_version="p", decided_at=now, outcome="queue",
        fallback_queue="general", target_s=priority.target.total_seconds(), deadline=priority.deadline,
        rules=result.traces,
    )  # fmt: skip
    assert describe(decision)


def test_a_surrogate_that_slipped_through_breaks_one_rule_only() -> None:
    interaction = accepted().model_copy(update={"subject": "order", "text": "a \ud800"})
    result = evaluate(example_policy(), interaction, Facts(), NOW)
    assert [error.split(":")[0] for error in result.errors] == ["rule orders"]
    assert result.answer is not None and result.answer.template == "acknowledgement"


# Calendars

_TIMES = st.integers(0, 96).map(lambda quarter: f"{quarter // 4:02}:{quarter % 4 * 15:02}")


@st.composite
def calendars(draw: st.DrawFn) -> Calendar:
    hours = {}
    for day in draw(st.sets(st.sampled_from(["mon", "tue", "wed", "thu", "fri", "sat", "sun"]), min_size=1)):
        times = sorted(draw(st.sets(_TIMES, min_size=2, max_size=4)))
        hours[day] = [f"{start}-{end}" for start, end in zip(times[::2], times[1::2], strict=False)]
    zone = draw(
        st.sampled_from(["Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "UTC", "Africa/Casablanca"])
    )
    holidays = draw(st.sampled_from([[], ["DE-BE"], ["US", "2026-12-24"]]))
    return compile_calendar(BusinessHours.model_validate({"timezone": zone, "holidays": holidays, "hours": hours}))


MOMENTS = _moments(2020, 2035)
SPANS = st.timedeltas(timedelta(), timedelta(days=5))


@settings(max_examples=200, deadline=None)
@given(calendar=calendars(), moment=MOMENTS, span=SPANS, later=SPANS)
def test_deadlines(calendar: Calendar, moment: datetime, span: timedelta, later: timedelta) -> None:
    deadline = calendar.add_business_time(moment, span)
    assert calendar.add_business_time(moment + later, span) >= deadline
    assume(calendar.add_business_time(moment, span + later) < moment + SEARCH)
    assert deadline >= moment + span
    assert calendar.is_open(deadline) or calendar.is_open(deadline - timedelta(microseconds=1))
    # Nothing is lost or won by looking at the clock in between.
    assert not later or calendar.add_business_time(deadline, later) == calendar.add_business_time(moment, span + later)


@settings(max_examples=200, deadline=None)
@given(calendar=calendars(), moment=MOMENTS)
def test_next_open(calendar: Calendar, moment: datetime) -> None:
    opening = calendar.next_open(moment)
    assert opening is not None and opening >= moment
    assert calendar.is_open(opening)
    assert calendar.is_open(moment) == (opening == moment)
    assert opening == moment or not calendar.is_open(opening - timedelta(microseconds=1))


# What people write

YAML = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from([*WORDS, *FIELDS, "all", "any", "not"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["name", "when", "on", "answer", "set", "tags", "all", "any", "not", "contains", *FIELDS, "x"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(tree=st.lists(YAML, max_size=3) | YAML)
def test_any_tree_gives_rules_or_problems(tree: Any) -> None:
    reader = Reader("f")
    rules = reader.rules(tree)
    assert all(isinstance(rule, Rule) for rule in rules)
    assert all(str(problem).startswith("f") for problem in reader.problems)


@settings(max_examples=300)
@given(text=st.text(st.sampled_from("-:{}[]&*!|>'\"#%@\n\t aé0"), max_size=40) | ANY_TEXT)
def test_any_text_is_yaml_or_a_problem(text: str) -> None:
    _, problems = parse_yaml(text, "f")
    assert all(str(problem).startswith("f") for problem in problems)


@settings(max_examples=200, deadline=None)
@given(text=st.text(st.sampled_from("{}%# -abi()[].'forset=|\n"), max_size=60))
def test_any_template_text_compiles_or_is_refused(text: str) -> None:
    with suppress(TemplateError):
        render(compile_template("t", {"": TemplateText(text=text, html=text)}), None, {"reference": "SB-1"})
