"""Conditions → functions, made once per policy: each says why a condition does not hold, or nothing."""

from collections.abc import Callable
from typing import Any

from rules.expression import compile_expression
from rules.fields import FIELDS, View
from rules.model import All, AnyOf, Condition, Expression, Leaf, Not
from rules.operators import REMEMBERED, Test, leaf_test
from rules.phrases import PhraseBook
from schemas.structs import Failed

SHOWN_CHARS = 80

Check = Callable[[View], Failed | None]
"""None: it holds. Else the first comparison that kept it from holding."""


def compile_condition(condition: Condition, book: PhraseBook) -> Check:
    """Its phrases are numbered in `book`. Raises ValueError for a regex that RE2 refuses."""
    match condition:
        case Leaf():
            return _said(leaf_test(condition, book), _explain(condition, condition.operator, condition.path))
        case All(all=parts):
            return _first_of(tuple(compile_condition(part, book) for part in parts))
        case AnyOf():
            return _said(_test(condition, book), _explain_any(condition))
        case Not(negated=negated, path=path):
            leaves = leaves_of(negated)
            nothing = Failed(path=path, field="", operator="not", expected="always")
            why = _explain(leaves[0], f"not {leaves[0].operator}", path) if leaves else lambda _: nothing
            return _said(_test(condition, book), why)
        case Expression(cel=cel, path=path):
            failed = Failed(path=path, field="", operator="cel", expected=shown(cel))
            return _said(compile_expression(cel), lambda _: failed)


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
    expected = [shown(one) for one in value[:8]] if isinstance(value, tuple) else shown(value)

    def failed(values: tuple[str, ...]) -> Failed:
        return Failed(path=path, field=label, operator=operator, expected=expected, actual=shown(values))

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


def _explain_any(condition: AnyOf) -> Callable[[View], Failed]:
    leaves = [leaf for part in condition.any for leaf in leaves_of(part)]
    field = ", ".join(dict.fromkeys(_label(leaf) for leaf in leaves))
    expected = shown(tuple(f"{_label(leaf)} {leaf.operator} {leaf.value}" for leaf in leaves))

    def failed(view: View) -> Failed:
        actual = shown(view.raw(leaves[0].field, leaves[0].name)) if leaves else None
        return Failed(path=condition.path, field=field, operator="any", expected=expected, actual=actual)

    return failed


def _label(leaf: Leaf) -> str:
    return f"{leaf.field}.{leaf.name}" if leaf.name else leaf.field


def shown(value: Any) -> Any:
    """A value short enough for a trace. One value stands for itself, none for None."""
    if isinstance(value, str):
        return value if len(value) <= SHOWN_CHARS else value[:SHOWN_CHARS] + "…"
    if isinstance(value, tuple):
        if len(value) == 1:
            return shown(value[0])
        return [shown(item) for item in value[:8]] or None
    return value


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
