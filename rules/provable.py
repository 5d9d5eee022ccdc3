"""What conditions exclude each other: proofs, no guesses. Where nothing is provable, nothing is said.

A condition is taken apart into *conjunctions*, of which at least one has to hold; each consists of comparisons that
hold or do not. A conjunction is impossible if two of its comparisons exclude each other, or if no value that a field
can have fits all of them, as the engine's own comparisons judge.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from math import ceil, floor

from rules.fields import FIELDS
from rules.model import All, AnyOf, Condition, Expression, Leaf, Not
from rules.operators import Values, text_form, value_test
from rules.quantities import MEASURES

MOST = 64
"""A condition of more conjunctions is not looked into."""

Key = tuple[str, str]
"""A field and, where it has names, the name."""

_AS_WRITTEN = ("regex", "cidr", "exists")
"""Operators that see values unfolded."""
_NEVER_EMPTY = ("channel", "occasion", "weekday", "business_hours", "verdict")
_ALSO = {("message", ""): (("subject", ""), ("text", ""))}
"""What holds for one of these holds for the field."""
_ALWAYS_ONE = ("weekday", "time", "holiday", "business_hours", "queue", "tier", "contacts")
"""Fields with one value at most, besides those that are plain."""


@dataclass(frozen=True, eq=False)
class Literal:
    """A comparison that holds, or one that does not."""

    leaf: Leaf
    holds: bool

    @cached_property
    def key(self) -> Key:
        name = self.leaf.name
        return self.leaf.field, name.lower() if self.leaf.field == "header" else name

    @cached_property
    def texts(self) -> frozenset[str]:
        written = self.leaf.texts
        return frozenset(written if self.leaf.operator in _AS_WRITTEN else map(text_form(self.leaf), written))

    @cached_property
    def test(self) -> Callable[[Values], bool]:
        return value_test(self.leaf)

    def fits(self, values: Values) -> bool:
        return self.test(values) is self.holds


Conjunction = tuple[Literal, ...]


def conjunctions(condition: Condition | None, *, holds: bool = True) -> list[Conjunction] | None:
    """One of these holds if the condition does (with `holds=False`: if it does not). None: there are too many.

    An expression may hold or not, whatever else does: it is left out."""
    match condition:
        case None:
            return [()] if holds else []
        case Leaf(operator="exists"):
            value = condition.value is holds
            return [(Literal(condition.model_copy(update={"value": value}), True),)]
        case Leaf():
            return [(Literal(condition, holds),)]
        case Expression():
            return [()]
        case Not(negated=part):
            return conjunctions(part, holds=not holds)
        case All(all=parts) | AnyOf(any=parts):
            return _joined(parts, holds=holds, together=isinstance(condition, All) is holds)


def _joined(parts: Iterable[Condition], *, holds: bool, together: bool) -> list[Conjunction] | None:
    found: list[Conjunction] = [()] if together else []
    for part in parts:
        more = conjunctions(part, holds=holds)
        if more is None:
            return None
        found = [(*one, *other) for one in found for other in more] if together else [*found, *more]
        if len(found) > MOST:
            return None
    return found


def impossible(conjunction: Conjunction) -> Key | None:
    """A field whose comparisons exclude each other; None if there is no proof of one."""
    by_key: dict[Key, list[Literal]] = {}
    for literal in conjunction:
        by_key.setdefault(literal.key, []).append(literal)
    for key, literals in by_key.items():
        having = [each for each in literals if each.holds]
        more = [each for other in _ALSO.get(key, ()) for each in by_key.get(other, ()) if each.holds]
        if _emptied(key, [*having, *more]) or _excluded([*having, *more], literals):
            return key
        if _single(key[0]) and (_apart(having) or _without_value(key[0], literals)):
            return key
    return None


def _single(name: str) -> bool:
    field = FIELDS.get(name)
    return field is not None and (field.plain is not None or name in _ALWAYS_ONE)


def _emptied(key: Key, having: list[Literal]) -> bool:
    """Asked to be empty and to have a value at once. Every comparison but `exists: false` needs a value."""
    if not any(each.key == key and _is_empty(each) for each in having):
        return False
    return key[0] in _NEVER_EMPTY or not all(map(_is_empty, having))


def _is_empty(literal: Literal) -> bool:
    return literal.leaf.operator == "exists" and literal.leaf.value is False


def _excluded(having: list[Literal], literals: list[Literal]) -> bool:
    return any(not each.holds and any(_implies(one, each) for one in having) for each in literals)


def _implies(one: Literal, other: Literal) -> bool:
    """Whether the comparison `other` holds wherever `one` does."""
    is_, then = one.leaf.operator, other.leaf.operator
    if is_ in ("contains", "contains_all") and one.leaf.match != other.leaf.match and other.leaf.match != "part":
        return False
    match is_, then:
        case ("exists", _) | (_, "exists"):
            return False
        case "contains", "contains":
            return one.texts <= other.texts
        case "contains_all", "contains":
            return not one.texts.isdisjoint(other.texts)
        case "contains_all", "contains_all":
            return one.texts >= other.texts
        case "contains", "contains_all":
            return len(one.texts) == 1 and one.texts == other.texts
        case ("starts_with", "starts_with"):
            return all(text.startswith(tuple(other.texts)) for text in one.texts)
        case ("ends_with", "ends_with"):
            return all(text.endswith(tuple(other.texts)) for text in one.texts)
        case ("equals" | "in", _) if FIELDS[one.leaf.field].kind not in MEASURES and then not in _AS_WRITTEN:
            return all(other.test((text,)) for text in one.texts)
        case ("domain", "domain"):
            return one.texts <= other.texts
    return is_ == then and one.texts == other.texts


def _apart(having: list[Literal]) -> bool:
    """Whether one value would have to begin, end, or come from somewhere, in two ways."""

    def texts(operator: str) -> Iterator[frozenset[str]]:
        return (each.texts for each in having if each.leaf.operator == operator)

    def together(one: frozenset[str], other: frozenset[str], operator: str) -> bool:
        if operator == "domain":
            return any(text.startswith("*.") for text in chain(one, other)) or not one.isdisjoint(other)
        reach = str.startswith if operator == "starts_with" else str.endswith
        return any(reach(a, b) or reach(b, a) for a in one for b in other)

    return any(
        not together(one, other, operator)
        for operator in ("starts_with", "ends_with", "domain")
        for one in texts(operator)
        for other in texts(operator)
    )


def _without_value(name: str, literals: list[Literal]) -> bool:
    """Whether none of the values that the field can have fits; False where those cannot be listed."""
    kind = FIELDS[name].kind
    judged = literals
    if kind in MEASURES:
        candidates: list[Values] = [(), *((value,) for value in _measures(kind, literals))]
    elif kind == "flag":
        candidates = [("true",), ("false",)]
    elif name in _NEVER_EMPTY:
        candidates = [(value,) for value in FIELDS[name].values]
    else:
        judged = [each for each in literals if each.leaf.operator not in ("regex", "cidr")]
        listed = next((each for each in literals if each.holds and each.leaf.operator in ("equals", "in")), None)
        if listed is None:
            return False
        candidates = [(text,) for text in listed.texts]
    return not any(all(each.fits(values) for each in judged) for values in candidates)


def _measures(kind: str, literals: list[Literal]) -> Iterable[str]:
    """Values of which one fits if any does. All fields that are measured hold whole numbers."""
    if kind == "clock":
        return [f"{minute // 60:02}:{minute % 60:02}" for minute in range(24 * 60)]
    bounds = [MEASURES[kind](text) for each in literals if each.leaf.operator != "exists" for text in each.texts]
    whole = {floor(bound) + step for bound in bounds for step in (-1, 0, 1)} | {ceil(bound) for bound in bounds}
    return map(str, sorted(whole | {0}))
