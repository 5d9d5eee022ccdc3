"""What is said never to fire never fires: conditions of few words, tried on every interaction of few words."""

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.calendar import ALWAYS
from rules.conditions import compile_condition
from rules.fields import FIELDS, View
from rules.model import All, AnyOf, Condition, Expression, Leaf, Not, Rule
from rules.phrases import PhraseBook
from rules.shadows import contradiction, shadowed
from schemas.decision import Facts
from schemas.fast import as_struct
from schemas.structs import Interaction
from tests.kit.contacts import chat, email
from tests.kit.policies import accepted, problems_in

TIMES = (datetime(2026, 3, 2, 8, tzinfo=UTC), datetime(2026, 3, 3, 12, 30, tzinfo=UTC))


@cache
def interactions() -> list[tuple[Interaction, Facts, datetime]]:
    subjects, texts = ("", "Order", "order five", "reorder five"), ("", "five", "Größe order")
    mails = [
        accepted(
            email(subject=subject, text=text),
            language=language,
            flags=flags,
            sender={"kind": "email", "address": address, "verdict": verdict},
        )
        for subject, text, language, flags, (address, verdict) in product(
            subjects,
            texts,
            (None, "DE"),
            ((), ("id_collision",)),
            (("a@x.org", "verified"), ("b@s.x.org", "unknown")),
        )
    ]
    chats = [accepted(chat(text=text)) for text in texts if text]
    facts = (Facts(), Facts(contacts_7d=2, customer_tags=("vip", "old"), customer_tier="gold", known=True))
    found = [as_struct(each) for each in (*mails, *chats)]
    return [(one, facts[n % 2], TIMES[n // 2 % 2]) for n, one in enumerate(found)]


WORDS = st.sampled_from(("order", "Order", "five", "order five", "größe", "grosse", "ord", "re"))
SOME = st.lists(WORDS, min_size=1, max_size=2).map(tuple)
TEXTS = st.sampled_from(("subject", "text", "message"))
LEAVES: st.SearchStrategy[Condition] = st.one_of(
    st.builds(
        Leaf,
        field=TEXTS,
        operator=st.sampled_from(("contains", "contains_all")),
        value=SOME,
        match=st.sampled_from(("word", "part")),
    ),
    st.builds(Leaf, field=TEXTS, operator=st.sampled_from(("in", "starts_with", "ends_with")), value=SOME),
    st.builds(Leaf, field=TEXTS, operator=st.just("regex"), value=st.sampled_from(("order", "(?i)order", "^.r"))),
    st.builds(
        Leaf,
        field=st.sampled_from(("subject", "message", "language", "customer_tags", "flags", "duration", "cc")),
        operator=st.just("exists"),
        value=st.booleans(),
    ),
    st.builds(Leaf, field=st.just("channel"), operator=st.just("in"), value=st.sampled_from((("email",), ("chat",)))),
    st.builds(
        Leaf, field=st.just("language"), operator=st.just("equals"), value=st.sampled_from(("de", "DE", "en", "dé"))
    ),
    st.builds(Leaf, field=st.just("known"), operator=st.just("equals"), value=st.booleans()),
    st.builds(
        Leaf,
        field=st.sampled_from(("size", "contacts", "duration", "attachments")),
        name=st.just("7"),
        operator=st.sampled_from(("less_than", "at_most", "more_than", "at_least", "equals")),
        value=st.sampled_from(("0", "1", "2", "1.5", "8")),
    ),
    st.builds(
        Leaf,
        field=st.just("time"),
        operator=st.just("between"),
        value=st.sampled_from((("08:00-09:00",), ("12:00-13:00", "22:00-08:01"))),
    ),
    st.builds(Leaf, field=st.just("time"), operator=st.sampled_from(("less_than", "at_least")), value=st.just("08:00")),
    st.builds(
        Leaf,
        field=st.just("customer_tags"),
        operator=st.sampled_from(("contains", "contains_all")),
        value=st.lists(st.sampled_from(("vip", "OLD", "x")), min_size=1, max_size=2).map(tuple),
    ),
    st.builds(
        Leaf,
        field=st.sampled_from(("sender", "to")),
        operator=st.just("domain"),
        value=st.sampled_from((("x.org",), ("*.x.org",), ("s.x.org", "x.org"))),
    ),
    st.builds(Leaf, field=st.just("sender"), operator=st.just("in"), value=st.just(("a@x.org",))),
    st.just(Expression(cel="size(subject) > 3")),
)
CONDITIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: All(all=tuple(parts))),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: All(all=tuple(parts))),
        st.lists(inner, min_size=1, max_size=2).map(lambda parts: AnyOf(any=tuple(parts))),
        inner.map(lambda part: Not(negated=part)),
    ),
    max_leaves=6,
)


def outcomes(*conditions: Condition) -> Iterator[tuple[bool, ...]]:
    """Which of the conditions hold, for every interaction."""
    book = PhraseBook()
    checks = [compile_condition(each, book) for each in conditions]
    book.close()
    for interaction, facts, now in interactions():
        view = View(interaction, facts, now, lambda _: ALWAYS, book)
        yield tuple(check(view) is None for check in checks)


@settings(max_examples=600, deadline=None)
@given(CONDITIONS)
def test_what_is_said_never_to_hold_never_holds(condition: Condition) -> None:
    if contradiction(condition) is not None:
        assert not any(holds for (holds,) in outcomes(condition))


@settings(max_examples=600, deadline=None)
@given(CONDITIONS, st.data())
def test_what_is_said_to_be_shadowed_never_holds_alone(later: Condition, data: st.DataObject) -> None:
    parts = later.all if isinstance(later, All) else (later,)
    earlier = data.draw(st.one_of(CONDITIONS, st.sampled_from(parts), st.lists(st.sampled_from(parts)).map(_both)))
    rules = [Rule(name="a", when=earlier, tags=("t",), stop=True), Rule(name="b", when=later, tags=("t",))]
    if [rule.name for rule, _ in shadowed(rules)] == ["b"]:
        assert all(before for before, after in outcomes(earlier, later) if after)


def _both(parts: list[Condition]) -> Condition:
    return All(all=tuple(parts[:2]))


def test_the_fields_of_which_one_value_is_assumed_have_one() -> None:
    for interaction, facts, now in interactions():
        view = View(interaction, facts, now, lambda _: ALWAYS, PhraseBook())
        for name, field in FIELDS.items():
            if field.plain is not None or name in ("weekday", "time", "holiday", "business_hours", "queue", "tier"):
                assert len(view.raw(name)) <= 1
            if name in ("channel", "occasion", "weekday", "business_hours", "verdict") or field.kind == "flag":
                assert len(view.raw(name)) == 1


NEVER = """
{size: {more_than: 10, less_than: 5}}
{all: [{attachments: {more_than: 2}}, {attachments: {less_than: 3}}]}
{all: [{channel: email}, {not: {channel: [email, chat]}}]}
{all: [{channel: Email}, {channel: [chat]}]}
{not: {channel: [email, chat, web_form, phone_log]}}
{all: [{any: [{channel: email}, {channel: chat}]}, {channel: phone_log}]}
{all: [{subject: {contains: [Größe, b]}}, {not: {subject: {contains: [b, GROSSE, c]}}}]}
{all: [{subject: {contains: a}}, {subject: {exists: false}}]}
{all: [{text: {contains: a}}, {not: {message: {contains: a}}}]}
{all: [{subject: {contains_all: [a, b]}}, {not: {subject: {contains: b}}}]}
{all: [{subject: {starts_with: re}}, {subject: {starts_with: fwd}}]}
{all: [{sender: ann@x.org}, {not: {sender: {domain: x.org}}}]}
{all: [{time: 09:00-12:00}, {time: {at_least: "12:00"}}]}
{all: [{not: {known: true}}, {not: {known: false}}]}
{all: [{weekday: [mon, tue]}, {not: {weekday: {in: [tue, mon]}}}]}
{not: {any: [{language: de}, {not: {language: de}}]}}
{all: ["size(subject) > 3", {header.List-Id: {exists: true}}, {header.list-id: {exists: false}}]}
{all: [{customer_tags: [vip]}, {not: {customer_tags: [VIP, gold]}}]}
"""


@pytest.mark.parametrize("when", [line for line in NEVER.splitlines() if line])
def test_what_excludes_itself_is_told(when: str) -> None:
    found = problems_in(f"- {{name: r, tags: t, when: {when}}}")
    assert len(found) == 1 and "rule r never fires" in found[0], found


SHADOWED = """
{subject: {contains: [a, b]}} > {subject: {contains: [B, A]}}
{subject: {contains: [a, b]}} > {all: [{channel: chat}, {subject: {contains: á}}]}
{size: {more_than: 5}} > {size: {at_least: 10}}
{language: [de, en]} > {language: EN, channel: email}
{any: [{channel: email}, {subject: {contains: x}}]} > {subject: {contains: x}}
{channel: [email, chat]} > {any: [{channel: email}, {channel: chat, language: de}]}
{not: {channel: email}} > {channel: chat}
{message: {contains: x, match: part}} > {subject: {contains: x}}
{sender: {domain: x.org}} > {sender: ann@x.org}
{header.X-A: {regex: a}} > {header.x-a: {regex: a}, channel: email}
{form.x: {exists: true}} > {form.x: a}
"""


@pytest.mark.parametrize("both", [line for line in SHADOWED.splitlines() if line])
def test_what_an_earlier_rule_takes_is_told(both: str) -> None:
    earlier, _, later = both.partition(" > ")
    rules = f"- {{name: a, tags: t, stop: true, when: {earlier}}}\n- {{name: b, tags: t, when: {later}}}"
    found = problems_in(rules)
    assert len(found) == 1 and "rule b is shadowed" in found[0], found


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        ("- {name: r, tags: t, when: {any: [{channel: email, not: {channel: email}}, {channel: chat}]}}", 1),
        ("- {name: r, tags: t, when: {channel: [Email, CHAT]}}", 0),
        ("- {name: r, tags: t, when: {message: {exists: false}, subject: {exists: false}}}", 0),
        ("- {name: r, tags: t, when: {all: [{to: a@x.org}, {not: {to: b@x.org}}]}}", 0),
        ("- {name: r, tags: t, when: {all: [{subject: {equals: A}}, {subject: {regex: '^[A]$'}}]}}", 0),
        # it may break: then it does not stop
        ("- {name: a, tags: t, stop: true, when: {any: ['header.x == \"\"', {channel: email}]}}\n"
         "- {name: b, tags: t, when: {channel: email}}", 0),
    ],
)  # fmt: skip
def test_parts_that_never_hold_and_what_is_no_shadow(rules: str, told: int) -> None:
    found = problems_in(rules)
    assert len(found) == told, found
    assert all("when.any[0] never holds" in one for one in found)
