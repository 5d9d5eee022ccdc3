"""`when: "<CEL expression>"`: the Common Expression Language for what the operators cannot say.

An expression sees the fields by their names, `header`, `attribute` and `form` as maps of texts. `matches()` is left
out: its regexes are not RE2's; the operator `regex` is there for them.
"""

from collections.abc import Callable, Set
from typing import Any

from rules.bounds import LISTED, read
from rules.fields import FIELDS, View
from rules.problems import did_you_mean
from rules.quantities import MEASURES

EXPRESSION_CHARS = 4096
MAPS = ("header", "attribute", "form")
MANY = ("to", "cc", "reply_to", "delivered_to", "recipient", "attachment_name", "attachment_type", "tags",
         "customer_tags", "flags", "phone")  # fmt: skip
_FUNCTIONS = frozenset((
    "size", "contains", "startsWith", "endsWith", "int", "uint", "double", "string", "bytes", "timestamp", "duration",
    "type", "dyn", "has", "matches", "getFullYear", "getMonth", "getDayOfYear", "getDayOfMonth", "getDate",
    "getDayOfWeek", "getHours", "getMinutes", "getSeconds", "getMilliseconds",
))  # fmt: skip
"""Those of CEL's own that there are."""
NAMES = (*(name for name in FIELDS if name not in ("message", "contacts")), "contacts_7d", "now")


def compile_expression(source: str) -> Callable[[View], bool]:
    """Raises ValueError: no CEL, too long, `matches()`, or a name that is no field.

    The function raises what CEL raises (a missing key, types that do not fit): then the rule does not fire.
    """
    import cel  # brings a command line of its own along: nothing that every start should wait for

    for what, _ in mistakes_in(source):
        raise ValueError(what)
    program = cel.compile(source)
    names = names_in(source)

    def test(view: View) -> bool:
        found = program.execute(cel.Context(variables=values_of(view, names)))
        if not isinstance(found, bool):
            raise TypeError(f"the expression gives {type(found).__name__}, not true or false")
        return found

    return test


def mistakes_in(source: str) -> list[tuple[str, str]]:
    """Everything wrong with an expression, each with a hint."""
    import cel

    if len(source) > EXPRESSION_CHARS:
        return [(f"longer than {EXPRESSION_CHARS} characters", "")]
    try:
        program = cel.compile(source)
        functions, names = set(program.functions()), set(program.variables())
    except (ValueError, RuntimeError, RecursionError) as error:
        lines = [line for line in str(error).splitlines() if "rror" in line]
        return [((lines or [str(error)])[-1].partition("Syntax error: ")[2] or str(error)[:120], "")]
    seen = read(source)
    if "matches" in functions | seen.calls:
        seen.mistakes.append(("matches() is not available", "use the operator regex"))
    found = seen.mistakes
    unknown = sorted(names - set(NAMES) - seen.bound)
    found += [(f"unknown name {name!r}", did_you_mean(name, NAMES)) for name in unknown]
    missing = sorted(name for name in (functions | seen.calls) - _FUNCTIONS if name.isidentifier())
    return [*found, *((f"unknown function {name}()", did_you_mean(name, _FUNCTIONS)) for name in missing)]


def names_in(source: str) -> frozenset[str]:
    """The fields that a right expression names."""
    import cel

    return frozenset(cel.compile(source).variables()) & frozenset(NAMES)


def values_of(view: View, names: Set[str]) -> dict[str, Any]:
    """The named fields as CEL sees them: an empty one is "", false or an empty list."""
    return {name: _value(view, name) for name in names}


def named_values(view: View, source: str, names: Set[str]) -> dict[str, Any]:
    """What an expression's names stood for, to be shown: of maps what it asks for."""
    found = values_of(view, names)
    for name in names & {*MAPS}:
        found[name] = {key: value for key, value in found[name].items() if key in source}
    if "now" in found:
        found["now"] = found["now"].isoformat()
    return found


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
    if name in MANY:
        return list(values[:LISTED])
    kind, first = FIELDS[name].kind, values[0] if values else ""
    if kind == "flag":
        return first == "true"
    if kind in MEASURES:
        measured = MEASURES[kind](first) if first else 0.0
        return int(measured) if measured.is_integer() else measured
    return first
