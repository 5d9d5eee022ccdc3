"""Types in a CEL expression that can never fit, found before it runs: by trying it on made-up values of the right
types, and by reading what is compared with `==`, which CEL takes for plainly unequal."""

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

from rules.bounds import read, signs
from rules.expression import MANY, MAPS, names_in
from rules.fields import FIELDS
from rules.problems import did_you_mean
from rules.quantities import MEASURES

_UNFIT = "No such overload", "Unsupported operation", "Undefined variable or function"
_WORDS = {str: "a text", bool: "true or false", int: "a number", list: "a list", dict: "a map", datetime: "a time"}

_BEFORE = frozenset((".", "+", "-", "*", "/", "%"))
_AFTER = _BEFORE | {"[", "("}
"""Beside an operand these make it a part of something else."""


def type_mistakes_in(source: str, queues: Collection[str]) -> list[tuple[str, str]]:
    """Of an expression without other mistakes, each with a hint. `queues`: those there are. Only what is sure: nothing
    is said about what depends on a value, such as a missing key."""
    found = [*_never_equal(source, queues), *_header_names(source)]
    for filled in (False, True):
        found += [each for each in _tried(source, filled) if each not in found]
    return found


def _tried(source: str, filled: bool) -> list[tuple[str, str]]:
    import cel

    try:
        given = cel.compile(source).execute(
            cel.Context(variables={name: _sample(name, filled) for name in names_in(source)})
        )
    except (TypeError, RuntimeError) as error:
        what = str(error)
        if not what.startswith(_UNFIT):
            return []
        return [("types that do not fit", what.partition(". CEL")[0].partition(". Check")[0])]
    except Exception:  # it depends on the values
        return []
    if isinstance(given, bool):
        return []
    return [(f"gives {_WORDS.get(type(given), type(given).__name__)}, not true or false", "compare it with something")]


def _never_equal(source: str, queues: Collection[str]) -> list[tuple[str, str]]:
    """A field beside a literal of another type, with nothing else on either side."""
    found: list[tuple[str, str]] = []
    fields = names_in(source) - read(source).bound
    padded = ["", "", *signs(source)[0], "", ""]
    for at in (at for at, sign in enumerate(padded) if sign in ("==", "!=")):
        before, left, right, after = padded[at - 2], padded[at - 1], padded[at + 1], padded[at + 2]
        if before in _BEFORE or after in _AFTER:
            continue
        for name, literal in ((left, right), (right, left)):
            held, value = type(_sample(name, True)) if name in fields else None, _literal(literal)
            if held is None or value is None:
                continue
            if held is not value:
                found.append((f"{name} is {_WORDS[held]}, which never equals {literal}", ""))
            elif value is str:
                word, known = literal[1:-1], queues if name == "queue" else FIELDS[name].values
                if word and known and "\\" not in word and word not in known:
                    found.append((f"{name} is never {literal}", did_you_mean(word, known)))
    return found


def _header_names(source: str) -> list[tuple[str, str]]:
    """`header["List-Id"]`, `"List-Id" in header`: the map's names are in lower case."""
    tokens = [*signs(source)[0], "", "", ""]
    asked = [tokens[at + 2] for at, sign in enumerate(tokens) if sign == "header" and tokens[at + 1] in ("[", ".")]
    asked += [tokens[at] for at, sign in enumerate(tokens) if tokens[at + 1 : at + 3] == ["in", "header"]]
    wrong = [name for name in asked if name != name.lower()]
    return [(f"the names in header are in lower case, {name} is not", name.lower()) for name in wrong]


def _literal(sign: str) -> type | None:
    if sign[:1] in ("'", '"'):
        return str
    if sign in ("true", "false"):
        return bool
    return int if sign[:1].isdigit() else None


def _sample(name: str, filled: bool) -> Any:
    """A value of the type that the field has in an expression."""
    if name in MAPS:
        return {}
    if name in MANY:
        return ["a"] if filled else []
    if name == "now":
        return datetime(2026, 1, 1, tzinfo=UTC)
    kind = "number" if name == "contacts_7d" else FIELDS[name].kind
    if kind == "flag":
        return filled
    if kind in MEASURES:
        return int(filled)
    return "a" if filled else ""
