"""Answer texts: Jinja2 in a sandbox that can print named fields and nothing else.

A template cannot call anything, reach into objects, include files or multiply texts; what it prints is capped.
Values are never templates: braces in a customer's text are printed as they came.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jinja2
from jinja2 import meta, nodes
from jinja2.exceptions import SecurityError
from jinja2.runtime import LoopContext, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from rules.model import TemplateText
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
LOOP_DEPTH = 2
_FILTERS = (
    "abs", "capitalize", "d", "default", "e", "escape", "first", "float", "int", "join", "last", "length", "lower",
    "round", "string", "title", "trim", "truncate", "upper", "urlencode",
)  # fmt: skip
_TESTS = ("defined", "undefined", "none", "string", "number", "eq", "ne", "lt", "le", "gt", "ge", "in", "even", "odd")


class TemplateError(SwitchboardError):
    """A template could not be compiled or rendered."""


class _Sandbox(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset({"*", "**", "%"})

    def __init__(self, *, autoescape: bool) -> None:
        super().__init__(autoescape=autoescape, undefined=jinja2.StrictUndefined, keep_trailing_newline=False)
        self.globals.clear()
        self.filters = {name: self.filters[name] for name in _FILTERS}
        self.tests = {name: self.tests[name] for name in _TESTS}

    def is_safe_callable(self, obj: Any) -> bool:
        return False

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, Mapping):
            return obj[attribute] if attribute in obj else self.undefined(obj=obj, name=attribute)
        if isinstance(obj, (LoopContext, Undefined)):
            return super().getattr(obj, attribute)
        return self.unsafe_undefined(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(argument, str):
            return self.getattr(obj, argument)
        return super().getitem(obj, argument)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        raise SecurityError(f"{operator} is not available in templates")


_TEXT = _Sandbox(autoescape=False)
_HTML = _Sandbox(autoescape=True)


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
        for _, problem in problems_of(text):
            raise TemplateError(f"template {name}: {problem}")
    return Template(name, {language: _variant(text) for language, text in texts.items()}, default)


def _variant(text: TemplateText) -> Variant:
    names: set[str] = set()
    for environment, source in _sources(text):
        names |= meta.find_undeclared_variables(environment.parse(source))
    html = _HTML.from_string(text.html) if text.html is not None else None
    return Variant(_TEXT.from_string(text.subject), _TEXT.from_string(text.text), html, frozenset(names))


def _sources(text: TemplateText) -> Iterator[tuple[_Sandbox, str]]:
    yield _TEXT, text.subject
    yield _TEXT, text.text
    if text.html is not None:
        yield _HTML, text.html


def problems_of(text: TemplateText) -> list[tuple[int, str]]:
    """Everything wrong with a template's text: (line within its part, or 0; what)."""
    problems: list[tuple[int, str]] = []
    for environment, source in _sources(text):
        try:
            tree = environment.parse(source)
            # Unknown filters and tests only show when code is made.
            environment.compile(source)
        except jinja2.TemplateSyntaxError as error:
            problems.append((error.lineno, str(error.message)))
            continue
        except RecursionError:
            problems.append((0, "nested too deeply"))
            continue
        problems += _forbidden(tree)
    return problems


def _forbidden(tree: nodes.Template) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    used = {node.name for node in tree.find_all(nodes.Name) if node.name in ("self", "super", "caller")}
    for name in sorted((meta.find_undeclared_variables(tree) | used) - set(FIELDS)):
        line = next((n.lineno for n in tree.find_all(nodes.Name) if n.name == name), 0)
        found.append((line, f"unknown variable {name!r}; there are {', '.join(FIELDS)}"))
    kinds: tuple[type[nodes.Node], ...] = (
        *(nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends, nodes.Macro, nodes.Call),
        *(nodes.ScopedEvalContextModifier, nodes.EvalContextModifier),  # what a customer wrote is escaped, always
    )
    found += [(n.lineno, f"{type(n).__name__.lower()} is not available in templates") for n in tree.find_all(kinds)]
    products = tree.find_all((nodes.Mul, nodes.Pow, nodes.Mod))
    found += [(node.lineno, "*, ** and % are not available in templates") for node in products]
    growing = [
        n for n in tree.find_all((nodes.Assign, nodes.AssignBlock)) if any(n.find_all((nodes.Concat, nodes.Add)))
    ]
    found += [(node.lineno, "texts are joined where they are printed, not by set") for node in growing]
    loops = [loop for loop in tree.find_all(nodes.For) if loop.recursive or _depth(loop) > LOOP_DEPTH]
    found += [(loop.lineno, f"loops may be nested {LOOP_DEPTH} deep, and not recursive") for loop in loops]
    return found


def _depth(loop: nodes.For) -> int:
    return 1 + max((_depth(inner) for inner in loop.find_all(nodes.For)), default=0)


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
