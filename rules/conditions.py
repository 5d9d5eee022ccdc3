"""Conditions → closures, made once per policy. A condition reports; the engine decides."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import re2

from rules.fields import FIELDS, View
from rules.model import All, AnyOf, Condition, Leaf, Not
from rules.words import normal, phrase
from schemas.structs import Failed

REGEX_CHARS = 4096
SHOWN_CHARS = 80

Test = Callable[[View], bool]


@dataclass(frozen=True, slots=True)
class Node:
    """A compiled condition: `test` decides, the rest explains."""

    test: Test
    source: Condition
    parts: tuple["Node", ...] = ()

    def first_failure(self, view: View) -> Failed:
        """The first comparison that keeps this from holding. Only to be asked when `test` gave False."""
        match self.source:
            case Leaf() as leaf:
                return _failed(leaf, leaf.operator, leaf.value, view)
            case All():
                return next(part for part in self.parts if not part.test(view)).first_failure(view)
            case AnyOf():
                leaves = [leaf for part in self.parts for leaf in leaves_of(part.source)]
                return Failed(
                    path=self.source.path,
                    field=", ".join(dict.fromkeys(_label(leaf) for leaf in leaves)),
                    operator="any",
                    expected=shown(tuple(_words(leaf) for leaf in leaves)),
                    actual=shown(view.raw(leaves[0].field, leaves[0].name)) if leaves else None,
                )
            case Not(negated=negated, path=path):
                for first in leaves_of(negated):
                    return _failed(first, f"not {first.operator}", first.value, view, path=path)
                return Failed(path=path, field="", operator="not", expected="always")


def _failed(leaf: Leaf, operator: str, expected: Any, view: View, path: str = "") -> Failed:
    return Failed(
        path=path or leaf.path,
        field=_label(leaf),
        operator=operator,
        expected=[shown(one) for one in expected[:8]] if isinstance(expected, tuple) else shown(expected),
        actual=shown(view.raw(leaf.field, leaf.name)),
    )


def _label(leaf: Leaf) -> str:
    return f"{leaf.field}.{leaf.name}" if leaf.name else leaf.field


def _words(leaf: Leaf) -> str:
    return f"{_label(leaf)} {leaf.operator} {leaf.value}"


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
    match condition:
        case Leaf():
            return [condition]
        case All(all=parts) | AnyOf(any=parts):
            return [leaf for part in parts for leaf in leaves_of(part)]
        case Not(negated=negated):
            return leaves_of(negated)


def compile_condition(condition: Condition) -> Node:
    """Raises ValueError for a regex that RE2 refuses."""
    match condition:
        case Leaf():
            return Node(_leaf(condition), condition)
        case All(all=parts):
            nodes = tuple(compile_condition(part) for part in parts)
            tests = tuple(node.test for node in nodes)
            return Node(lambda view: all(test(view) for test in tests), condition, nodes)
        case AnyOf(any=parts):
            nodes = tuple(compile_condition(part) for part in parts)
            tests = tuple(node.test for node in nodes)
            return Node(lambda view: any(test(view) for test in tests), condition, nodes)
        case Not(negated=negated):
            node = compile_condition(negated)
            inner = node.test
            return Node(lambda view: not inner(view), condition, (node,))


def compile_regex(pattern: str) -> Any:
    """An RE2 regex: linear in the text, whatever the text. Raises ValueError with RE2's reason."""
    if len(pattern) > REGEX_CHARS:
        raise ValueError(f"longer than {REGEX_CHARS} characters")
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0] if error.args else ""
        raise ValueError(reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)) from None
    except UnicodeEncodeError as error:
        raise ValueError("holds characters that are no text") from error


def _texts(leaf: Leaf) -> tuple[str, ...]:
    if isinstance(leaf.value, tuple):
        return leaf.value
    return (leaf.value,) if isinstance(leaf.value, str) else ("true" if leaf.value else "false",)


def _leaf(leaf: Leaf) -> Test:
    field, name = leaf.field, leaf.name
    texts = tuple(normal(text) for text in _texts(leaf))
    wanted = frozenset(texts)
    part = leaf.match == "part"
    match leaf.operator:
        case "exists":
            exists = leaf.value is True
            return lambda view: bool(view.raw(field, name)) is exists
        case "equals" | "in":
            return lambda view: any(value in wanted for value in view.normal(field, name))
        case "starts_with":
            return lambda view: any(value.startswith(texts) for value in view.normal(field, name))
        case "ends_with":
            return lambda view: any(value.endswith(texts) for value in view.normal(field, name))
        case "domain":
            return lambda view: any(value.rpartition("@")[2] in wanted for value in view.normal(field, name))
        case "regex":
            regex = compile_regex(_texts(leaf)[0])
            return lambda view: any(regex.search(value) is not None for value in view.raw(field, name))
        case "contains" | "contains_all" if FIELDS[field].kind == "set":
            if leaf.operator == "contains":
                return lambda view: not wanted.isdisjoint(view.normal(field, name))
            return lambda view: wanted.issubset(view.normal(field, name))
        case "contains":
            phrases = tuple(phrase(text, part=part) for text in _texts(leaf))
            return lambda view: any(p.found_in(value) for value in view.normal(field, name) for p in phrases)
        case "contains_all":
            phrases = tuple(phrase(text, part=part) for text in _texts(leaf))
            return lambda view: all(any(p.found_in(v) for v in view.normal(field, name)) for p in phrases)
