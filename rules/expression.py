"""`when: "<CEL expression>"`: the Common Expression Language for what the operators cannot say.

An expression sees the fields by their names, `header`, `attribute` and `form` as maps of texts. `matches()` is left
out: its regexes are not RE2's; the operator `regex` is there for them.
"""

import re
from collections.abc import Callable
from typing import Any

from rules.fields import FIELDS, View
from rules.quantities import MEASURES

EXPRESSION_CHARS = 4096
_MAPS = ("header", "attribute", "form")
_MANY = ("to", "cc", "reply_to", "delivered_to", "recipient", "attachment_name", "attachment_type", "tags",
         "customer_tags")  # fmt: skip
NAMES = (*(name for name in FIELDS if name not in ("message", "contacts")), "contacts_7d", "now")


def compile_expression(source: str) -> Callable[[View], bool]:
    """Raises ValueError: no CEL, too long, `matches()`, or a name that is no field.

    The function raises what CEL raises (a missing key, types that do not fit): then the rule does not fire.
    """
    import cel  # brings a command line of its own along: nothing that every start should wait for

    if len(source) > EXPRESSION_CHARS:
        raise ValueError(f"longer than {EXPRESSION_CHARS} characters")
    try:
        program = cel.compile(source)
        functions, names = set(program.functions()), set(program.variables())
    except (ValueError, RuntimeError, RecursionError) as error:
        lines = [line for line in str(error).splitlines() if "rror" in line]
        raise ValueError((lines or [str(error)])[-1].partition("Syntax error: ")[2] or str(error)[:120]) from None
    if "matches" in functions:
        raise ValueError("matches() is not available; use the operator regex")
    if _nests_loops(source):
        raise ValueError("all, exists, map and filter cannot stand inside one another: that can take for ever")
    unknown = sorted(names - set(NAMES) - _bound(source, names))
    if unknown:
        raise ValueError(f"unknown name {unknown[0]!r}; there are {', '.join(NAMES)}")

    def test(view: View) -> bool:
        found = program.execute(cel.Context(variables=values_of(view, names)))
        if not isinstance(found, bool):
            raise TypeError(f"the expression gives {type(found).__name__}, not true or false")
        return found

    return test


_TOKEN = re.compile(
    r"""(?P<text>r?"(?:\\.|[^"\\])*"|r?'(?:\\.|[^'\\])*')|\.\s*(?P<loop>all|exists|exists_one|map|filter)\s*\(|[()]"""
)


def _nests_loops(source: str) -> bool:
    """A loop in a loop costs the product of their lengths, ten of them more time than there is."""
    open_: list[bool] = []
    for token in _TOKEN.finditer(source):
        if token["loop"]:
            if any(open_):
                return True
            open_.append(True)
        elif token[0] == "(":
            open_.append(False)
        elif token[0] == ")" and open_:
            open_.pop()
    return False


def _bound(source: str, names: set[str]) -> set[str]:
    """Names that a macro binds (`tags.exists(t, …)`): they are no fields."""
    compact = "".join(source.split())
    macros = ("all(", "exists(", "exists_one(", "map(", "filter(")
    return {name for name in names if any(f".{macro}{name}," in compact for macro in macros)}


def values_of(view: View, names: set[str]) -> dict[str, Any]:
    """The named fields as CEL sees them: an empty one is "", false or an empty list."""
    return {name: _value(view, name) for name in names if name in NAMES}


def _value(view: View, name: str) -> Any:
    interaction = view.interaction
    content = interaction.content
    match name:
        case "header":
            return {key.lower(): value for key, value in content.headers} if content.channel == "email" else {}
        case "attribute":
            return dict(interaction.attributes)
        case "form":
            return dict(content.fields) if content.channel == "web_form" else {}
        case "contacts_7d":
            return view.facts.contacts_7d
        case "now":
            return view.now
    values = view.raw(name)
    if name in _MANY:
        return list(values)
    kind, first = FIELDS[name].kind, values[0] if values else ""
    if kind == "flag":
        return first == "true"
    if kind in MEASURES:
        measured = MEASURES[kind](first) if first else 0.0
        return int(measured) if measured.is_integer() else measured
    return first
