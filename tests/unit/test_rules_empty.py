"""What was begun and not filled in is a mistake: it never means "always" or nothing."""

import pytest

from rules.engine import evaluate
from schemas.fast import as_struct
from schemas.structs import Facts
from tests.kit.policies import NOW, accepted, policy, problems_in


@pytest.mark.parametrize("when", ["", "null", "{}", "[]", "''", "' '"])
def test_an_empty_when_is_no_always(when: str) -> None:
    (found,) = problems_in(f"- name: r\n  tags: t\n  when: {when}\n")
    assert found == "rules/a.yaml:3: rule r: when is empty (leave it out where the rule is for everything)"


@pytest.mark.parametrize(
    ("when", "path"),
    [
        ("{all: [{}]}", "when.all[0]"),
        ("{any: [{channel: email}, {}]}", "when.any[1]"),
        ("{any: ['']}", "when.any[0]"),
        ("{all: [null]}", "when.all[0]"),
        ("{not: {}}", "when.not"),
        ("{not: {all: [{}]}}", "when.not.all[0]"),
    ],
)
def test_an_empty_condition_within_others_is_told(when: str, path: str) -> None:
    found = problems_in(f"- {{name: r, tags: t, when: {when}}}")
    assert found == [f"rules/a.yaml:1: rule r: {path}: a condition is empty (such as {{channel: email}})"]


@pytest.mark.parametrize(
    "key", ["queue", "hold", "answer", "tier", "target", "tags", "skills", "notify", "webhook", "set", "close",
            "affinity", "stop", "order", "on"]
)  # fmt: skip
@pytest.mark.parametrize("value", ["", "''", "[]", "{}"])
def test_an_empty_action_is_told_and_not_ignored(key: str, value: str) -> None:
    (found,) = problems_in(
        f"- name: r\n  notify: x\n  {key}: {value}\n".replace("  notify: x\n" * (key == "notify"), "")
    )
    assert f"rule r: {key} is empty (leave it out, or say what)" in found


@pytest.mark.parametrize(
    ("action", "problem"),
    [
        ("tags: ['']", "tags has an empty text"),
        ("notify: [a, ' ']", "notify has an empty text"),
        ("skills: ['']", "skills has an empty text"),
        ("webhook: [a, null]", "webhook has an empty text"),
        ("set: {'': a}", "set. is empty"),
        ("set: {a: }", "set.a is empty"),
        ("set: {a: ''}", "set.a is empty"),
        ("set: {attributes.b: c}", "set writes attributes: 'attributes.b' would be attribute.attributes.b (write b)"),
        ("set: {attribute.b: c}", "set writes attributes: 'attribute.b' would be attribute.attribute.b (write b)"),
        ("on: [first, first]", "on names an occasion twice"),
        ("stop: 'true'", "stop: Input should be a valid boolean (true or false, without quotes)"),
        ("stop: yes", "stop: Input should be a valid boolean (true or false, without quotes)"),
        ("order: '5'", "order: has to be a whole number, without quotes"),
        ("order: true", "order: has to be a whole number"),
        ("tags: [1.5]", "tags.0: Input should be a valid string (put it in quotes)"),
        ("tier: p2", "tier: Input should be 'P1', 'P2', 'P3' or 'P4' (did you mean P2?)"),
    ],
)
def test_what_says_nothing_or_another_thing_is_told(action: str, problem: str) -> None:
    found = problems_in(f"- name: r\n  affinity: true\n  {action}\n")
    assert len(found) == 1 and found[0].startswith(f"rules/a.yaml:3: rule r: {problem}"), found


def test_a_blank_name_is_no_name() -> None:
    assert problems_in("- {name: ' ', tags: t}") == [
        "rules/a.yaml:1: rule  : name is empty (leave it out, or say what)"
    ]


@pytest.mark.parametrize(
    ("when", "told"),
    [
        ("{sender: {equals: a, match: part}}", True),
        ("{flags: {contains: a, match: part}}", True),
        ("{size: {more_than: 1, match: word}}", True),
        ("{text: {contains: a, starts_with: b, match: part}}", False),
        ("{header: {name: X, contains_all: a, match: part}}", False),
    ],
)
def test_match_where_it_says_nothing(when: str, told: bool) -> None:
    found = problems_in(f"- {{name: r, tags: t, when: {when}}}")
    assert [("match says nothing here" in one) for one in found] == [True] * told


@pytest.mark.parametrize(
    ("operator", "hint"),
    [
        ("contains_any: a", "unknown operator 'contains_any' (write contains)"),
        ("matches: a", "unknown operator 'matches' (write regex)"),
        ("gte: 2", "unknown operator 'gte' (write at_least)"),
    ],
)
def test_one_word_for_one_thing(operator: str, hint: str) -> None:
    (found,) = problems_in(f"- {{name: r, tags: t, when: {{header.X: {{{operator}}}}}}}")
    assert hint in found


@pytest.mark.parametrize("when", ["{time: {at_least: 9.3}}", "{age: {more_than: 0.00000000001}}"])
def test_a_decimal_that_is_no_such_value_is_told_and_not_raised(when: str) -> None:
    (found,) = problems_in(f"- {{name: r, tags: t, when: {when}}}")
    assert "is no time of the day" in found or "not a duration" in found


def test_whole_numbers_are_texts_where_texts_are_meant() -> None:
    made = policy("- {name: 7, tags: [1, 2], set: {order: 3, stop: 4}, notify: 5}")
    result = evaluate(made, as_struct(accepted()), Facts(), NOW)
    assert (result.tags, result.attributes, result.notify) == (("1", "2"), {"order": "3", "stop": "4"}, ("5",))


def test_a_tag_in_two_spellings_is_one_tag() -> None:
    made = policy("- {name: a, tags: [Früh, FRÜH]}\n- {name: b, tags: [früh, x]}")
    assert evaluate(made, as_struct(accepted()), Facts(), NOW).tags == ("Früh", "x")
