"""Conditions → functions, made once per policy: each says why a condition does not hold, or nothing."""

from collections.abc import Callable, Sequence
from typing import Any

from rules.expression import compile_expression, named_values, names_in
from rules.fields import FIELDS, View
from rules.model import All, AnyOf, Condition, Expression, Leaf, Not
from rules.operators import REMEMBERED, Test, leaf_test
from rules.phrases import PhraseBook
from schemas.structs import Failed

SHOWN_CHARS = 80
SHOWN_REASONS = 8
SHOWN_VALUES = 8

Check = Callable[[View], Failed | None]
"""None: it holds. Else the first comparison that kept it from holding."""


def compile_condition(condition: Condition, book: PhraseBook) -> Check:
    """Its phrases are numbered in `book`. Raises ValueError for a regex that RE2 refuses."""
    match condition:
        case Leaf():
            return _said(leaf_test(condition, book), _explain(condition, condition.operator, condition.path))
        case All(all=parts):
            return _first_of(tuple(compile_condition(part, book) for part in parts))
        case AnyOf(any=parts, path=path):
            each = tuple(compile_condition(part, book) for part in parts)
            return _said(_test(condition, book), lambda view: _together(path, "any", _failing(each, view)))
        case Not(negated=Leaf() as leaf, path=path):
            return _said(_test(condition, book), _explain(leaf, f"not {leaf.operator}", path))
        case Not(negated=negated, path=path):
            held = _held(negated, book)
            return _said(_test(condition, book), lambda view: _together(path, "not", held(view)))
        case Expression(cel=cel):
            return _said(compile_expression(cel), _explain_expression(condition, "cel"))


def _said(test: Test, explain: Callable[[View], Failed]) -> Check:
    return lambda view: None if test(view) else explain(view)


def _first_of(checks: tuple[Check, ...]) -> Check:
    def check(view: View) -> Failed | None:
        for each in checks:
            failed = each(view)
            if failed is not None:
                return failed
        return None

    return checks[0] if len(checks) == 1 else check


def _test(condition: Condition, book: PhraseBook) -> Test:
    """A condition inside of `any` or `not`, of which only the outcome counts."""
    match condition:
        case Leaf():
            return leaf_test(condition, book)
        case All(all=parts):
            tests = tuple(_test(part, book) for part in parts)
            return lambda view: all(test(view) for test in tests)
        case AnyOf(any=parts):
            tests = tuple(_test(part, book) for part in parts)
            return lambda view: any(test(view) for test in tests)
        case Not(negated=negated):
            inner = _test(negated, book)
            return lambda view: not inner(view)
        case Expression(cel=cel):
            return compile_expression(cel)


def _explain(leaf: Leaf, operator: str, path: str) -> Callable[[View], Failed]:
    field, name, label = leaf.field, leaf.name, _label(leaf)
    value = leaf.value
    expected = _some(value) if isinstance(value, tuple) else shown(value)

    def failed(values: tuple[str, ...]) -> Failed:
        actual = shown(values)
        if FIELDS[field].kind == "flag" and actual in ("true", "false"):
            actual = actual == "true"
        return Failed(path=path, field=label, operator=operator, expected=expected, actual=actual)

    plain = FIELDS[field].plain
    if plain is None or FIELDS[field].kind not in ("word", "flag"):
        return lambda view: failed(view.raw(field, name))
    known: dict[Any, Failed] = {}

    def remembered(view: View) -> Failed:
        actual = plain(view)
        found = known.get(actual)
        if found is None:
            if len(known) >= REMEMBERED:
                known.clear()
            found = known[actual] = failed((actual,) if actual else ())
        return found

    return remembered


def _explain_expression(expression: Expression, operator: str) -> Callable[[View], Failed]:
    names = names_in(expression.cel)
    path, field, expected = expression.path, ", ".join(sorted(names)), shown(expression.cel)

    def failed(view: View) -> Failed:
        actual = {name: shown(value) for name, value in named_values(view, expression.cel, names).items()}
        return Failed(path=path, field=field, operator=operator, expected=expected, actual=actual)

    return failed


def _failing(checks: tuple[Check, ...], view: View) -> list[Failed]:
    return [failed for check in checks if (failed := check(view)) is not None]


def _held(condition: Condition, book: PhraseBook) -> Callable[[View], list[Failed]]:
    """What made a condition hold that should not have."""
    match condition:
        case Leaf(operator=operator, path=path):
            why = _explain(condition, f"not {operator}", path)
            return lambda view: [why(view)]
        case Expression():
            of_expression = _explain_expression(condition, "not cel")
            return lambda view: [of_expression(view)]
        case All(all=parts):
            all_of = [_held(part, book) for part in parts]
            return lambda view: [each for held in all_of for each in held(view)]
        case AnyOf(any=parts):
            any_of = [(_test(part, book), _held(part, book)) for part in parts]
            return lambda view: [each for test, held in any_of if test(view) for each in held(view)]
        case Not(negated=part):
            check = compile_condition(part, book)
            return lambda view: _failing((check,), view)


def _together(path: str, operator: str, reasons: list[Failed]) -> Failed:
    """Several comparisons as one: `expected` and `actual` have an item for each."""
    if operator == "not" and len(reasons) == 1:
        one = reasons[0]
        return Failed(path=path, field=one.field, operator=one.operator, expected=one.expected, actual=one.actual)
    each = [pair for reason in reasons for pair in _pairs(reason)][:SHOWN_REASONS]
    return Failed(
        path=path,
        field=", ".join(dict.fromkeys(reason.field for reason in reasons)),
        operator=operator,
        expected=[expected for expected, _ in each],
        actual=[actual for _, actual in each],
    )


def _pairs(reason: Failed) -> list[tuple[str, Any]]:
    """(`channel in [email, chat]`, what it was), one or several."""
    if reason.operator in ("any", "not"):
        return list(zip(reason.expected, reason.actual, strict=True))
    expected = f"[{', '.join(map(str, reason.expected))}]" if isinstance(reason.expected, list) else reason.expected
    # An expression has many fields: it is its own name.
    field = "expression" if reason.operator.removeprefix("not ") == "cel" else reason.field
    return [(f"{field} {reason.operator} {expected}", reason.actual)]


def _label(leaf: Leaf) -> str:
    return f"{leaf.field}.{leaf.name}" if leaf.name else leaf.field


def shown(value: Any) -> Any:
    """A value short enough for a trace. One value stands for itself, none for None."""
    if isinstance(value, list):
        return _some(value)
    if isinstance(value, dict):
        return {key: shown(item) for key, item in list(value.items())[:8]}
    if isinstance(value, str):
        return value if len(value) <= SHOWN_CHARS else value[:SHOWN_CHARS] + "…"
    if isinstance(value, tuple):
        if len(value) == 1:
            return shown(value[0])
        return _some(value) or None
    return value


def _some(values: Sequence[Any]) -> list[Any]:
    """The first of many, and how many more there are."""
    more = len(values) - SHOWN_VALUES
    return [*map(shown, values[:SHOWN_VALUES]), *([f"… and {more} more"] if more > 0 else [])]


def leaves_of(condition: Condition) -> list[Leaf]:
    """All comparisons in a condition."""
    match condition:
        case Leaf():
            return [condition]
        case All(all=parts) | AnyOf(any=parts):
            return [leaf for part in parts for leaf in leaves_of(part)]
        case Not(negated=negated):
            return leaves_of(negated)
        case Expression():
            return []
