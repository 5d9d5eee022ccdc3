"""Rules that want to do harm: slow regexes, YAML that grows, templates that reach out, ten thousand rules."""

import jsonschema
import pytest

from rules.editors import json_schema
from rules.engine import evaluate
from rules.load import read_yaml
from rules.tree import parse_yaml
from schemas.decision import Facts
from tests.kit.contacts import NOW, email
from tests.kit.policies import EXAMPLE, accepted, policy, problems_in


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)+$", "(.*a){20}", "^(([a-z])+.)+[A-Z]([a-z])+$"])
def test_no_regex_is_slow_on_any_text(pattern: str) -> None:
    chosen = policy(f"- {{name: r, when: {{text: {{regex: '{pattern}'}}}}, tags: t}}")
    result = evaluate(chosen, accepted(email(text="a" * 60_000 + "!")), Facts(), NOW)
    assert result.errors == ()


def test_a_regex_that_would_take_too_much_memory_is_refused() -> None:
    assert "bad regex" in problems_in("- {name: r, when: {text: {regex: '((a{100}){100}){100}'}}, tags: t}")[0]


def test_yaml_bombs_are_refused() -> None:
    bomb = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]"
    _, problems = parse_yaml(bomb, "f")
    assert "aliases" in str(problems[0])
    _, problems = parse_yaml("[" * 5000, "f")
    assert problems
    _, problems = parse_yaml("&a [*a]", "f")
    assert problems, "a list that holds itself"


def test_expressions_are_bounded() -> None:
    assert "longer than" in problems_in(f"- {{name: r, when: \"'{'a' * 5000}' == subject\", tags: t}}")[0]
    deep = "(" * 3000 + "true" + ")" * 3000
    assert "bad expression" in problems_in(f'- {{name: r, when: "{deep}", tags: t}}')[0]


def test_an_expression_that_breaks_never_fires_and_is_reported() -> None:
    chosen = policy("- {name: r, when: \"header['x'] == 'y'\", queue: general}")
    result = evaluate(chosen, accepted(), Facts(), NOW)
    assert result.queue is None
    assert result.errors[0].startswith("rule r: ")


def test_ten_thousand_rules_are_checked_and_decide() -> None:
    rules = "\n".join(f"- {{name: r{n}, when: {{message: {{contains: word{n}}}}}, tags: t{n}}}" for n in range(10_000))
    result = evaluate(policy(rules), accepted(email(text="word77 word9999")), Facts(), NOW)
    assert result.tags == ("t77", "t9999")
    assert result.considered == 2


def test_editors_accept_the_example_and_see_mistakes() -> None:
    schema = json_schema()
    for path in sorted((EXAMPLE / "rules").glob("*.yaml")):
        jsonschema.validate(read_yaml(path, path.name), schema)
    for wrong in ([{"tags": "x"}], [{"name": "r", "then": 1}], [{"name": "r", "when": {"subjct": "x"}}]):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema)
