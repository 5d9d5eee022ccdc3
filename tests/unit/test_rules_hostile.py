"""Rules that want to do harm: slow regexes, YAML that grows, templates that reach out, ten thousand rules."""

from pathlib import Path

import jsonschema
import pytest

from channels.email.parser.parse import parse
from router.core.triage import decide_safely
from rules.editors import json_schema
from rules.engine import evaluate
from rules.explain import describe
from rules.expression import compile_expression
from rules.load import load_policy, read_yaml
from rules.model import TemplateText
from rules.templates import TemplateError, compile_template, problems_of, render
from rules.tree import MAX_CHARS, parse_yaml
from schemas.decision import Facts
from schemas.errors import ConfigError
from schemas.fast import as_model, as_struct
from schemas.limits import TEXT_CHARS
from switchboard.cli.rules_inputs import as_if_accepted
from tests.kit.contacts import NOW, chat, email
from tests.kit.policies import EXAMPLE, accepted, example_policy, policy, problems_in

REACHING_OUT = [
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ ''['__class__'] }}",
    "{{ ''|attr('__class__') }}",
    "{{ reference.__init__.__globals__ }}",
    "{{ attributes.__class__ }}",
    "{{ attributes.items() }}",
    "{{ config }}",
    "{{ self.__init__ }}",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "{{ lipsum.__globals__ }}",
    "{{ request.application }}",
    "{{ namespace() }}",
    "{{ range(10) }}",
    "{{ 'a' * 10000000 }}",
    "{{ 10 ** 10 ** 10 }}",
    "{{ '%1000000000d' % 1 }}",
    "{{ '{0.__class__}'.format(reference) }}",
    "{% include '/etc/passwd' %}",
    "{% import 'os' as os %}",
    "{% extends 'x' %}",
    "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "{% for a in reference recursive %}{{ loop(a) }}{% endfor %}",
    "{% set x = reference %}{% for i in x %}{% for j in x %}{% for k in x %}.{% endfor %}{% endfor %}{% endfor %}",
    "{{ [].append(1) }}",
    "{% do reference %}",
    "{{",
    "{% autoescape false %}{{ reference }}{% endautoescape %}",
    "{% set a = reference ~ reference %}{{ a }}",
    "{% set a %}{{ reference ~ reference }}{% endset %}{{ a }}",
    "{{ reference|truncate(2) }}",
]
NAUGHTY = [
    "", " ", "null", "undefined", "NaN", "-1/0", "1e309", "0x0", "'; DROP TABLE interactions;--",
    "<script>alert(1)</script>",
    "../../../etc/passwd", "%s%n%d", "${jndi:ldap://x}", "$(id)", "`id`", "{{ 7*7 }}", "{% raw %}", "\\u0000",
    "\u202eabc\u202c", "\u200b\ufeff", "Z\u0351\u036b\u0343a\u0316\u0301l\u0362g\u0342o\u034c", "ﬀ ﬃ ﷽",
    "ﾊﾝｶｸ", "表ポあA鷗ŒéＢ逍Üßªąñ丂㐀𠀀", "👩‍👩‍👧‍👦🏳️‍🌈",
    "İıŞß", "ᄒ\u1161\u11ab", "\U000e0041\U000e007f", "بِسْمِ", "טֶקסט", "ทดสอบ",
    "a" * 998, "( ͡° ͜ʖ ͡°)", "\x7f\x80\x9f", "\u2028\u2029", "\ud7ff\ue000\uffff", "=1+1", "@SUM(1)", "\t\t-", "0" * 400,
]  # fmt: skip


@pytest.mark.parametrize("source", REACHING_OUT)
def test_a_template_that_reaches_out_is_refused_or_fails_and_prints_nothing(source: str) -> None:
    written = TemplateText(subject="x", text=source, html=source)
    fields = {"reference": "SB-1", "attributes": {"a": "b"}}
    if not problems_of(written):
        with pytest.raises(TemplateError):
            print(render(compile_template("t", {"": written}), None, fields))


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 100_000, "- " * 100_000, "? " * 100_000])
def test_yaml_that_is_nested_too_deeply_for_c_is_a_mistake_and_not_the_end_of_the_process(text: str) -> None:
    tree, problems = parse_yaml(text, "a.yaml")
    assert tree is None
    assert "nested deeper than 50 levels" in problems[0].what


@pytest.mark.parametrize("source", ["tags.all(a, tags.all(b, a != b))", "[1].map (a, [a].filter(b, b > 0)).size() > 0"])
def test_loops_in_loops_are_refused(source: str) -> None:
    with pytest.raises(ValueError, match="inside one another"):
        compile_expression(source)


@pytest.mark.parametrize(
    "source",
    [
        'r"\\" == "" || tags.all(x, tags.all(y, true)) || "" == ""',
        '"""a"b""" == "" || tags.all(x, tags.all(y, true)) || "" == ""',
        "'''a'b''' == '' || tags.all(x, tags.all(y, true))",
        'tags.all(x, // "\n tags.all(y, // "\n true))',
        "tags.all(x, // ' ' )\n tags.all(y, true))",
        "tags.existsOne(x, tags.existsOne(y, true))",
        "tags . all (x, [tags][0] . all (y, true))",
        "tags.map(x, true, tags.map(y, y)) == []",
        'b"(" == b"" || tags.all(x, tags.all(y, true))',
    ],
)
def test_loops_in_loops_hidden_from_the_check_are_refused(source: str) -> None:
    with pytest.raises(ValueError, match=r"cannot (stand inside|be read)"):
        compile_expression(source)


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("['x']" + ".map(a, a + a)" * 20 + "[0].size() > 5", "cannot stand inside"),
        ("['x']" + ".map(a, [a, a])" * 30 + " == ['x']", "cannot be made inside map"),
        ("['x']" + ".map(a, {'k': a})" * 2 + " == []", "cannot be made inside map"),
        ("['x'].map(a, a).map(a, a) == []", "map can be used once"),
        ("text" + " + text" * 9 + " == ''", "times [+]"),
        ("to.all(x, " + " || ".join(["text.contains(x)"] * 60) + ")", "characters with all"),
    ],
)
def test_what_grows_step_by_step_is_refused(source: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        compile_expression(source)


def test_an_expression_sees_so_many_of_a_list() -> None:
    many = tuple(f"p{n}@example.org" for n in range(300))
    contact = email()
    contact = contact.model_copy(update={"content": contact.content.model_copy(update={"to": many})})
    chosen = policy("- {name: r, when: \"size(to) == 256 && to.exists(a, a == 'p255@example.org')\", tags: t}")
    assert evaluate(chosen, accepted(contact), Facts(), NOW).tags == ("t",)


@pytest.mark.parametrize(
    "source",
    [
        "subject == 'a \\' // no comment (' || tags.exists(t, t == \"it's\" || t.startsWith('(all('))",
        "header['x'] == \"http://a\" && tags.filter(t, t in ['a', 'b']).all(t, size(t) > 1)",
        "tags.map(t, size(t)) == [1] || 1.5e3 < double(size) || !(-1 + 2 > 0x1F)",
        "has(header.x) ? attachments > 2 : now > timestamp('2026-01-01T00:00:00Z') + duration('1h')",
    ],
)
def test_what_people_write_is_read(source: str) -> None:
    compile_expression(source)


def test_loops_one_after_the_other_are_fine() -> None:
    compile_expression("tags.all(a, a != ')') && (tags.exists(b, b == '.all(') || size(tags.filter(c, c != '')) > 1)")


@pytest.mark.parametrize("words", REACHING_OUT)
def test_a_customers_words_are_printed_and_never_run(words: str) -> None:
    printing = TemplateText(subject="{{ subject }}", text="{{ subject }}", html="{{ subject }}")
    rendered = render(compile_template("t", {"": printing}), None, {"subject": words})
    assert rendered.text == f"{words}\n"
    assert rendered.html is not None and "<" not in rendered.html


def test_an_answer_that_cannot_be_rendered_goes_to_a_human() -> None:
    broken = {"en": TemplateText(subject="x", text="{{ attributes.order }}")}
    chosen = policy("- {name: r, answer: broken}", templates={"broken": broken})
    decision = decide_safely(chosen, as_struct(accepted(chat())), Facts(), NOW)
    assert (decision.outcome, decision.answer, decision.queue) == ("queue", None, "general")
    assert "order" in decision.refused


@pytest.mark.parametrize("words", NAUGHTY, ids=range(len(NAUGHTY)))
def test_naughty_strings_are_decided_as_any_other(words: str) -> None:
    contact = email(subject=words[:998], text=words, attributes={"x": words})
    contact = contact.model_copy(update={"sender": contact.sender.model_copy(update={"name": words[:256]})})
    decision = decide_safely(example_policy(), as_struct(accepted(contact)), Facts(customer_tags=(words,)), NOW)
    assert decision.errors == ()
    assert decision.outcome in ("queue", "answer")


def test_a_mail_of_a_megabyte_is_decided_by_its_first_64_kib_and_says_so() -> None:
    raw = b"From: a@example.org\r\nSubject: Hi\r\n\r\n" + b"lorem ipsum \r\n" * 80_000 + b"my lawyer\r\n"
    contact = parse(raw, account="support", received_at=NOW)
    interaction = as_if_accepted(contact, example_policy(), NOW, "i", len(raw))
    decision = as_model(decide_safely(example_policy(), as_struct(interaction), Facts(), NOW))
    assert len(interaction.text) == TEXT_CHARS
    assert (decision.text_cut, decision.errors, decision.queue) == (True, (), "support")
    assert "64 KiB" in "\n".join(describe(decision))
    short = as_model(decide_safely(example_policy(), as_struct(accepted()), Facts(), NOW))
    assert (short.text_cut, "64 KiB" in "\n".join(describe(short))) == (False, False)


def test_a_file_of_ten_thousand_rules_is_read_and_its_one_mistake_found(tmp_path: Path) -> None:
    lines = [f"- {{name: r{n}, when: {{message: {{contains: word{n}}}}}, tags: t{n}}}" for n in range(10_000)]
    file = tmp_path / "rules.yaml"
    file.write_text("\n".join(lines))
    assert len(load_policy(tmp_path, {"rules": {"path": "rules.yaml"}}).rules) == 10_000
    file.write_text("\n".join([*lines, "- {name: last, queue: nowhere}"]))
    with pytest.raises(ConfigError) as refused:
        load_policy(tmp_path, {"rules": {"path": "rules.yaml"}})
    assert refused.value.problems == ["rules.yaml:10001: rule last: unknown queue 'nowhere' (there are general)"]


def test_folders_that_hold_themselves_and_includes_end_in_a_clear_error(tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "a.yaml").write_text("- {name: a, tags: x}")
    (rules / "again").symlink_to(rules)
    (tmp_path / "loop.yaml").symlink_to(tmp_path / "loop.yaml")
    with pytest.raises(ConfigError, match=r"rules/again: is a folder"):
        load_policy(tmp_path, {"rules": {"path": "rules"}})
    with pytest.raises(ConfigError, match=r"loop.yaml"):
        load_policy(tmp_path, {"rules": {"path": "loop.yaml"}})
    _, problems = parse_yaml("!include a.yaml", "f")
    assert problems
    (rules / "a.yaml").write_text("- !include a.yaml")
    with pytest.raises(ConfigError, match=r"a.yaml:1"):
        load_policy(tmp_path, {"rules": {"path": "rules"}})


def test_a_file_larger_than_any_rules_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text("#" * (MAX_CHARS + 1))
    with pytest.raises(ConfigError, match=r"rules.yaml"):
        load_policy(tmp_path, {"rules": {"path": "rules.yaml"}})


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


def test_more_conditions_and_phrases_than_a_check_could_take_are_told() -> None:
    parts = ", ".join(["{channel: chat}"] * 1001)
    assert (
        "when.any: has more than 1000 conditions" in problems_in(f"- {{name: r, when: {{any: [{parts}]}}, tags: t}}")[0]
    )
    words = ", ".join(f"w{number}" for number in range(50_001))
    (problem,) = problems_in(f"- {{name: r, when: {{text: {{contains: [{words}]}}}}, tags: t}}")
    assert "rule r: the rules look for more than 50000 phrases" in problem


def test_a_mistake_in_something_endless_is_shown_in_short() -> None:
    found = problems_in(f"- {{name: r, when: {{? {'x' * 100_000} : 1}}, tags: t}}")
    assert "when.xxx" in found[0]
    assert max(map(len, found)) < 2000
