"""Templates print named fields and can do nothing else."""

from typing import Any

import pytest

from router.core.answers import compose
from rules.engine import ChosenAnswer, RuleResult
from rules.model import TemplateText
from rules.templates import TemplateError, compile_template, echoes_customer, problems_of, render
from tests.kit.contacts import NOW, email
from tests.kit.policies import accepted, example_policy, policy

VALUES: dict[str, Any] = {
    "reference": "SB-1",
    "customer_name": "<b>Ann</b>",
    "attributes": {"order": "7", "items": "3"},
}


def one(text: str, **more: Any) -> Any:
    return compile_template("t", {"en": TemplateText(text=text, **more)})


def test_text_is_as_written_and_html_is_escaped() -> None:
    template = one("Hi {{ customer_name }}", subject="{{ reference }}\nBcc: x", html="<p>{{ customer_name }}</p>")
    rendered = render(template, "en", VALUES)
    assert rendered.text == "Hi <b>Ann</b>\n"
    assert rendered.html == "<p>&lt;b&gt;Ann&lt;/b&gt;</p>"
    assert rendered.subject == "SB-1 Bcc: x"


def test_attributes_are_read_by_name_even_when_called_like_a_method() -> None:
    assert (
        render(one("{{ attributes.order }}{{ attributes['items'] }}{{ attributes.items }}"), None, VALUES).text
        == "733\n"
    )
    with pytest.raises(TemplateError, match="none"):
        render(one("{{ attributes.none }}"), None, VALUES)
    assert render(one("{{ attributes.none | default('-') }}"), None, VALUES).text == "-\n"
    assert render(one("{% if attributes.none is defined %}x{% endif %}y"), None, VALUES).text == "y\n"


def test_languages_fall_back() -> None:
    texts = {lang: TemplateText(text=lang or "default") for lang in ("", "de", "pt-br", "en")}
    template = compile_template("t", texts)
    for wanted, got in (("de", "de"), ("de-AT", "de"), ("PT-BR", "pt-br"), ("pt", "default"), (None, "default")):
        assert render(template, wanted, {}).text == got + "\n"
    assert render(one("x"), "fr", {}).text == "x\n"
    with pytest.raises(TemplateError, match="no default"):
        compile_template("t", {"de": TemplateText(text=""), "fr": TemplateText(text="")})


@pytest.mark.parametrize(
    "text",
    [
        "{{ nothing }}",
        "{{ reference.__class__.__mro__ }}",
        "{{ ''.__class__ }}",
        "{{ ''['__class__'] }}",
        "{{ reference | attr('__class__') }}",
        "{{ attributes.__class__ }}",
        "{{ attributes['__init__'] }}",
        "{{ reference.upper() }}",
        "{{ '{0.__class__}'.format(1) }}",
        "{{ cycler.__init__.__globals__ }}",
        "{{ self.__init__ }}",
        "{{ self }}",
        "{{ range(9) }}",
        "{{ lipsum() }}",
        "{{ 'a' * 999999999 }}",
        "{{ 9 ** 9999999 }}",
        "{{ '%0999999999d' % 1 }}",
        "{{ 'a' | center(999999999) }}",
        "{{ reference | safe }}",
        "{{ [1,2] | map('upper') }}",
        "{{ 1 / 0 }}",
        "{{ reference + 1 }}",
        "{% include '/etc/passwd' %}",
        "{% extends 'x' %}",
        "{% import 'x' as y %}",
        "{% macro m() %}{% endmacro %}",
        "{% for a in subject %}{% for b in subject %}{% for c in subject %}{% endfor %}{% endfor %}{% endfor %}",
        "{% for a in subject recursive %}{% endfor %}",
        "{% if %}",
        "{{ " + "(" * 3000 + ")" * 3000 + " }}",
    ],
)
def test_everything_else_is_refused(text: str) -> None:
    with pytest.raises(TemplateError):
        render(one(text), "en", {**VALUES, "subject": "abc"})


def test_output_is_capped() -> None:
    wide = one("{% for a in attributes %}{% for b in attributes %}{{ subject }}{% endfor %}{% endfor %}")
    many = {str(number): "" for number in range(120)}
    with pytest.raises(TemplateError, match="too much"):
        render(wide, "en", {"subject": "x" * 998, "attributes": many})
    silent = one("{% for a in attributes %}{% for b in attributes %}{{ company }}{% endfor %}{% endfor %}")
    with pytest.raises(TemplateError, match="too much"):
        render(silent, "en", {"company": "", "attributes": many})


def test_every_mistake_of_a_template_is_listed() -> None:
    text = TemplateText(
        subject="{{ refrence }}",
        text="a\n{{ nme }}\n{{ reference.lower() }}{% if subject is foo %}{% endif %}",
        html="\n{{ x | foo }}",
        file="templates/a.txt",
    )
    found = problems_of(text)
    assert [each.place for each in found] == [
        "templates/a.txt:1",
        "templates/a.txt:4",
        "templates/a.txt:5",
        "templates/a.txt:5",
        "templates/a.html:2",
        "templates/a.html:2",
    ]
    assert found[0].hint == "did you mean reference?"
    assert "'refrence'" in found[0].what and "foo" in found[3].what


def test_which_templates_print_what_the_customer_wrote() -> None:
    assert not echoes_customer(one("{{ reference }} {{ company }} {{ opening_hours }}"))
    for text in ("{{ subject }}", "{{ attributes.x }}", "{% if customer_name %}x{% endif %}"):
        assert echoes_customer(one(text))
    assert echoes_customer(one("x", html="{{ subject }}"))
    assert echoes_customer(
        compile_template("t", {"en": TemplateText(text="x"), "de": TemplateText(text="{{ subject }}")})
    )
    assert not any(echoes_customer(template) for template in example_policy().templates.values())


@pytest.mark.parametrize("name", sorted(example_policy().templates))
@pytest.mark.parametrize("language", ["en", "de", "fr", "es", None])
def test_every_example_template_renders_in_every_language(name: str, language: str | None) -> None:
    result = RuleResult(answer=ChosenAnswer("rule", name))
    rendered = compose(example_policy(), accepted(language=language), result, final=True, queue="support", now=NOW)
    assert "{" not in rendered.text + rendered.subject
    assert "SB-1042" in rendered.text + rendered.subject
    assert language is None or language in example_policy().templates[name].variants


def test_an_answer_takes_attributes_that_rules_have_set() -> None:
    chosen = policy(
        templates={"t": {"": TemplateText(text="{{ attributes.a }}{{ attributes.b }} {{ opening_hours }}")}}
    )
    interaction = accepted(email(attributes={"a": "1", "b": "1"}))
    result = RuleResult(answer=ChosenAnswer("rule", "t"), attributes={"b": "2"})
    assert compose(chosen, interaction, result, final=True, queue="general", now=NOW).text == "12 always open\n"


def test_a_chain_of_filters_that_takes_seconds_to_look_at_is_refused() -> None:
    (told,) = problems_of(TemplateText(text="{{ reference" + "|title" * 190 + " }}"))
    assert told[1] == "190 filters in a row; at most 20 are taken"
    assert problems_of(TemplateText(text="{{ reference" + "|title" * 20 + " }}")) == []


def test_code_that_is_nested_too_deeply_for_python_is_a_mistake_and_no_crash() -> None:
    (told,) = problems_of(TemplateText(text="{% if reference %}" * 99 + "x" + "{% endif %}" * 99))
    assert told[1] == "nested too deeply"
