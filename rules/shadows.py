"""Rules that can never fire, where that is provable: nothing is said in doubt."""

from rules.fields import FIELDS
from rules.model import All, Condition, Leaf
from rules.words import normal


def conjuncts(condition: Condition | None) -> list[Condition]:
    """The parts that all have to hold."""
    if condition is None:
        return []
    if isinstance(condition, All):
        return [inner for part in condition.all for inner in conjuncts(part)]
    return [condition]


def contradiction(condition: Condition | None) -> str | None:
    """A field with one value only, of which two different ones are asked for; None if there is none."""
    wanted: dict[str, frozenset[str]] = {}
    for part in conjuncts(condition):
        if not isinstance(part, Leaf) or part.operator not in ("equals", "in") or not _single(part.field):
            continue
        values = part.value if isinstance(part.value, tuple) else (str(part.value),)
        these = frozenset(map(normal, values))
        both = wanted.get(part.field, these) & these
        if not both:
            return part.field
        wanted[part.field] = both
    return None


def _single(name: str) -> bool:
    field = FIELDS.get(name)
    return (
        field is not None
        and (field.plain is not None or name in ("queue", "tier", "weekday"))
        and (field.kind in ("word", "flag"))
    )


def shadows(earlier: Condition | None, later: Condition | None) -> bool:
    """Whether `later` asks for all that `earlier` asks for. What rules between them may change does not count."""
    asked = conjuncts(earlier)
    if not asked or not all(isinstance(part, Leaf) and not _changes(part.field) for part in asked):
        return False
    known = {_key(part) for part in conjuncts(later) if isinstance(part, Leaf)}
    return all(_key(part) in known for part in asked if isinstance(part, Leaf))


def _changes(name: str) -> bool:
    field = FIELDS.get(name)
    return field is None or field.changes


def _key(leaf: Leaf) -> tuple[object, ...]:
    return leaf.field, leaf.name, leaf.operator, leaf.value, leaf.match
