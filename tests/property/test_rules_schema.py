"""An editor says of a rule what reading it says: the published JSON Schema and `rules check` agree about form."""

from collections.abc import Iterator
from itertools import product
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.editors import json_schema
from rules.fields import FIELDS, OPERATORS
from rules.load import read_yaml
from rules.parse import Reader
from rules.tree import parse_yaml
from tests.kit.policies import EXAMPLE
from tests.unit import test_rules_check, test_rules_empty, test_rules_engine, test_rules_schema

SCHEMA = jsonschema.Draft202012Validator(json_schema())

TEXTS = [
    *("a", "email", "Email", "CHAT", "mon", "Tue", "open", "Closed", "p1", "first", "verified", "failed"),
    *("7", "1MB", "2.5 kib", "30s", "1h 30m", "PT5M", "10:00", "9:05", "25:00", "08:00-10:00", "9-12", "", " "),
]
SCALARS = [*TEXTS, 7, -3, 1.5, True, None]
VALUES = [*SCALARS, [], {}, ["a"], ["mon", "Tue"], ["10:00"], ["08:00 – 10:00"], [7, 1.5], ["a", ""], [True]]
KNOWN = sorted({each for kind in OPERATORS.values() for each in kind} - {"cidr"})
NAMED = ["header.List-Id", "attribute.plan", "form.a b", "contacts.7", "contacts.30", "contacts.31", "contacts.07",
         "header", "contacts", "attribute", "header.", "subject.x", "colour", "match"]  # fmt: skip

values = st.sampled_from(VALUES)
operators = st.sampled_from([*KNOWN, "gte", "contain"])
names = st.sampled_from([*(name for name, field in FIELDS.items() if not field.named), *NAMED])
compared = st.one_of(values, st.dictionaries(operators, values, max_size=2))
fields = st.dictionaries(names, compared, max_size=2)
conditions = st.recursive(
    st.one_of(fields, fields, fields, st.sampled_from(["size > 1", "", 7, None, []])),
    lambda inner: st.one_of(
        st.builds(lambda key, parts: {key: parts}, st.sampled_from(["all", "any"]), st.lists(inner, max_size=2)),
        st.builds(lambda key, part: {key: part}, st.sampled_from(["not", "all", "any"]), inner),
    ),
    max_leaves=3,
)
KEYS = ["answer", "queue", "tier", "target", "tags", "skills", "set", "affinity", "notify", "webhook", "hold", "close",
        "stop", "on", "order", "than"]  # fmt: skip
SAID = ["P1", "2h", "spam", ["first", "reopened"], ["first", "first"], {"a": "b"}, {"a": 7}, {"": "x"}, {"a": True},
        {"attributes.b": "x"}, {"attribute": ""}]  # fmt: skip
actions = st.dictionaries(st.sampled_from(KEYS), st.one_of(values, st.sampled_from(SAID)), max_size=2)


def agree(tree: Any) -> None:
    reader = Reader("f")
    reader.rules(tree)
    told = [str(problem) for problem in reader.problems if not by_meaning(problem.what)]
    assert SCHEMA.is_valid(tree) is not bool(told), (tree, told, [error.message for error in SCHEMA.iter_errors(tree)])


def by_meaning(what: str) -> bool:
    """What a schema has no words for: a span of no length, an address that is none, too many levels."""
    return any(part in what for part in ("must be longer", "is the whole day", "cidr: ", "nested deeper", "'1e-11'"))


def rules_of_tests() -> Iterator[str]:
    """All rules that tests of reading and deciding are about, wrong and right ones."""
    for module in (test_rules_check, test_rules_empty, test_rules_engine, test_rules_schema):
        for test in vars(module).values():
            for mark in getattr(test, "pytestmark", ()):
                for row in mark.args[1] if mark.name == "parametrize" else ():
                    text = row[0] if isinstance(row, tuple) else row
                    if isinstance(text, str):
                        yield text if text.startswith("- ") else f"- {{name: r, tags: t, when: {{{text}}}}}"
                        yield f"- {{name: r, tags: t, when: {text}}}"
                        yield f"- name: r\n  notify: a\n  {text}"


def test_rules_of_the_example_agree() -> None:
    for path in sorted((EXAMPLE / "rules").glob("*.yaml")):
        agree(read_yaml(path, path.name))


def test_rules_that_tests_are_about_agree() -> None:
    looked_at = 0
    for text in dict.fromkeys(rules_of_tests()):
        tree, problems = parse_yaml(text, "f")
        if not problems and tree is not None:
            agree(tree)
            looked_at += 1
    assert looked_at > 200


@given(conditions)
def test_generated_conditions_agree(when: Any) -> None:
    agree([{"name": "r", "tags": "t", "when": when}])


def test_every_short_form_agrees() -> None:
    for name in [*FIELDS, *NAMED]:
        for written in VALUES:
            agree([{"name": "r", "tags": "t", "when": {name: written}}])


def test_every_operator_agrees_with_every_value() -> None:
    """For a field of each kind."""
    kinds = {(field.kind, field.named, bool(field.values)): name for name, field in FIELDS.items()}
    for (_, named, _), name in kinds.items():
        for operator in (*KNOWN, "gte", "contain"):
            for written in VALUES:
                agree([{"name": "r", "tags": "t", "when": {f"{name}.7" if named else name: {operator: written}}}])


def test_every_way_to_give_a_name_and_to_match_agrees() -> None:
    compared = [{}, {"contains": "a"}, {"contains_all": ["a"]}, {"equals": 3}, {"exists": True}, {"contain": 1}]
    called = [{}, {"name": "X"}, {"name": 7}, {"name": 31}, {"name": ""}, {"name": None}]
    for name in ("header", "contacts", "subject", "flags", "header.X", "sender"):
        for parts in product(compared, [{}, {"match": "part"}, {"match": "full"}, {"match": None}], called):
            agree([{"name": "r", "tags": "t", "when": {name: parts[0] | parts[1] | parts[2]}}])


@given(actions, st.sampled_from(["r", "", " ", 7, None, 1.5]))
def test_generated_actions_agree(rule: dict[str, Any], name: Any) -> None:
    agree([{"name": name, **rule}])


@pytest.mark.parametrize("tree", [None, [], {}, "x", ["x"], [{}], [{"name": "r"}]])
def test_files_agree(tree: Any) -> None:
    agree(tree)
