"""Answer texts: Jinja2 in a sandbox that can print named fields and nothing else.

A template cannot call anything, reach into objects, include files or multiply texts (see `rules.sandbox`); what it
prints is capped.
Values are never templates: braces in a customer's text are printed as they came.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import jinja2
from jinja2 import meta, nodes

from rules.model import TemplateText
from rules.problems import did_you_mean, place_of
from rules.sandbox import FILTERS, SOURCE_CHARS, TESTS, Sandbox, oversized
from schemas.errors import SwitchboardError
from schemas.text import clean_line, clean_text

FIELDS: tuple[str, ...] = (
    "reference", "customer_name", "subject", "channel", "account", "language", "opening_hours", "next_opening",
    "attributes", "company",
)  # fmt: skip
"""What a template may name."""

CUSTOMER_FIELDS = frozenset({"subject", "customer_name", "attributes"})
"""Those that hold what the customer wrote. They are never sent to somebody of whom nothing is proved."""

OUTPUT_CHARS = 32 * 1024
LOOP_TURNS = 10_000
FILTERS_CHAINED = 20


class TemplateError(SwitchboardError):
    """A template could not be compiled or rendered."""


_TEXT = Sandbox(autoescape=False)
_HTML = Sandbox(autoescape=True)


@dataclass(frozen=True, slots=True)
class Rendered:
    subject: str
    text: str
    html: str | None


@dataclass(frozen=True, slots=True)
class Variant:
    """One language, compiled."""

    subject: jinja2.Template
    text: jinja2.Template
    html: jinja2.Template | None
    names: frozenset[str]
    """The fields that it names."""


@dataclass(frozen=True, slots=True)
class Template:
    name: str
    variants: Mapping[str, Variant]
    default: str

    def choose(self, language: str | None) -> str:
        """The best variant: the language with its region, without it, else the default."""
        wanted = (language or "").lower()
        for candidate in (wanted, wanted.split("-")[0]):
            if candidate and candidate in self.variants:
                return candidate
        return self.default


def default_language(languages: Iterable[str]) -> str | None:
    """Which variant to fall back to: the one without a language, else English, else the only one."""
    known = sorted(languages)
    for candidate in ("", "en"):
        if candidate in known:
            return candidate
    return known[0] if len(known) == 1 else None


def compile_template(name: str, texts: Mapping[str, TemplateText]) -> Template:
    """Raises TemplateError with the first mistake; `problems_of` lists them all."""
    default = default_language(texts)
    if default is None:
        raise TemplateError(f"template {name} has no default", hint=f"add {name}.txt or {name}.en.txt")
    for text in texts.values():
        for mistake in problems_of(text):
            raise TemplateError(f"template {name}: {mistake.what}", hint=mistake.hint)
    return Template(name, {language: _variant(text) for language, text in texts.items()}, default)


def _variant(text: TemplateText) -> Variant:
    names: set[str] = set()
    for environment, source in _sources(text):
        names |= meta.find_undeclared_variables(environment.parse(source))
    html = _HTML.from_string(text.html) if text.html is not None else None
    return Variant(_TEXT.from_string(text.subject), _TEXT.from_string(text.text), html, frozenset(names))


def _sources(text: TemplateText) -> Iterator[tuple[Sandbox, str]]:
    yield from ((environment, source) for environment, source, *_ in _parts(text))


def _parts(text: TemplateText) -> Iterator[tuple[Sandbox, str, str, int]]:
    """(environment, source, its file, lines of that file before it)."""
    yield _TEXT, text.subject, text.file, 0
    yield _TEXT, text.text, text.file, 2  # the subject and an empty line
    if text.html is not None:
        yield _HTML, text.html, re.sub(r"\.txt$", ".html", text.file), 0


class Mistake(NamedTuple):
    """`place`: `file:line`, or "" for a text that was in no file."""

    place: str
    what: str
    hint: str


def problems_of(text: TemplateText) -> list[Mistake]:
    """Everything wrong with a template's text."""
    return [
        Mistake(place_of(file, before + line) if file else "", what, hint)
        for environment, source, file, before in _parts(text)
        for line, what, hint in sorted(set(_mistakes(environment, source)))
    ]


_Found = Iterator[tuple[int, str, str]]


def _mistakes(environment: Sandbox, source: str) -> _Found:
    """(line, what, hint)."""
    if len(source) > SOURCE_CHARS:
        yield 1, f"longer than {SOURCE_CHARS} characters", ""
        return
    try:
        tree = environment.parse(source)
        if chained := [*_chained(tree)]:
            yield from chained  # nothing more is looked at: Jinja takes seconds for them
            return
        found = [*_unknown(environment, tree), *_forbidden(tree)]
        yield from found
        if not found:
            environment.compile(source)  # some mistakes only show when code is made
    except jinja2.TemplateSyntaxError as error:
        yield error.lineno, str(error.message), ""
    except ValueError as error:  # a number of thousands of digits
        yield 1, str(error), ""
    except (RecursionError, SyntaxError, MemoryError):  # what Python's own parser says of code with so many levels
        yield 1, "nested too deeply", ""


def _chained(tree: nodes.Template) -> _Found:
    """Chains of filters that are too long. Each chain is counted once, from its last filter."""
    behind = {id(used.node) for used in tree.find_all(nodes.Filter)}
    for last in tree.find_all(nodes.Filter):
        if id(last) in behind:
            continue
        length, inner = 0, cast("nodes.Node | None", last)
        while isinstance(inner, nodes.Filter):
            length, inner = length + 1, inner.node
        if length > FILTERS_CHAINED:
            yield last.lineno, f"{length} filters in a row; at most {FILTERS_CHAINED} are taken", ""


def _unknown(environment: Sandbox, tree: nodes.Template) -> _Found:
    for used in tree.find_all(nodes.Filter):
        if used.name not in environment.filters:
            yield used.lineno, f"there is no filter {used.name!r} in templates", did_you_mean(used.name, FILTERS)
            used.name = "string"  # with an unknown one the names would not be looked for
    for test in tree.find_all(nodes.Test):
        if test.name not in environment.tests:
            yield test.lineno, f"there is no test {test.name!r} in templates", did_you_mean(test.name, TESTS)
            test.name = "defined"
    own = {node.name for node in tree.find_all(nodes.Name) if node.name in ("self", "super", "caller")}
    for name in (meta.find_undeclared_variables(tree) | own) - set(FIELDS):
        line = next((node.lineno for node in tree.find_all(nodes.Name) if node.name == name), 1)
        yield line, f"unknown variable {name!r}", did_you_mean(name, FIELDS)


def _forbidden(tree: nodes.Template) -> _Found:
    kinds: tuple[type[nodes.Node], ...] = (
        *(nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends, nodes.Macro, nodes.Call),
        *(nodes.ScopedEvalContextModifier, nodes.EvalContextModifier),  # what a customer wrote is escaped, always
    )
    for node in tree.find_all(kinds):
        yield node.lineno, f"{type(node).__name__.lower()} is not available in templates", ""
    for product in tree.find_all((nodes.Mul, nodes.Pow, nodes.Mod)):
        yield product.lineno, "*, ** and % are not available in templates", ""
    yield from ((line, what, "") for line, what in oversized(tree))


def echoes_customer(template: Template) -> bool:
    """True if some variant prints what the customer wrote. Judged by what it names, printed or not."""
    return any(variant.names & CUSTOMER_FIELDS for variant in template.variants.values())


def render(template: Template, language: str | None, fields: Mapping[str, Any]) -> Rendered:
    """Render the variant for `language`. Raises TemplateError: a field is missing, the result is too long, or a bug.

    Only fields in `FIELDS` are seen. The subject comes out as one line.
    """
    variant = template.variants[template.choose(language)]
    values = {name: fields[name] for name in FIELDS if name in fields}
    return Rendered(
        subject=clean_line(_print(template.name, variant.subject, values)),
        text=clean_text(_print(template.name, variant.text, values)).strip() + "\n",
        html=_print(template.name, variant.html, values) if variant.html is not None else None,
    )


def _print(name: str, template: jinja2.Template, values: Mapping[str, Any]) -> str:
    out: list[str] = []
    size = 0
    try:
        for turn, piece in enumerate(template.generate(values)):
            size += len(piece)
            if size > OUTPUT_CHARS or turn > LOOP_TURNS:
                raise TemplateError(f"template {name} prints too much", hint=f"the limit is {OUTPUT_CHARS} characters")
            out.append(piece)
    except TemplateError:
        raise
    except Exception as error:  # a filter may raise anything
        raise TemplateError(
            f"template {name}: {error}", hint="an answer that cannot be rendered goes to a human"
        ) from None
    return "".join(out)
