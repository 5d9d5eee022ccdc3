"""Rules that can never fire, where that is provable: nothing is said in doubt."""

from collections.abc import Iterable, Iterator

from rules.fields import FIELDS
from rules.model import All, AnyOf, Condition, Expression, Leaf, Not, Rule
from rules.provable import Conjunction, Key, conjunctions, impossible

_BY_TEXT = ("contains", "contains_all", "equals", "in", "regex", "cidr", "domain")
"""Operators of which one implies another of the same only if they share a text."""


def contradiction(condition: Condition | None) -> str | None:
    """A field whose comparisons can never hold together, however the condition is met; None if there is none."""
    keys = [impossible(each) for each in conjunctions(condition) or ()]
    first = keys[0] if keys else None
    return named(first) if first is not None and None not in keys else None


def dead_parts(condition: Condition | None, given: Condition | None = None) -> Iterator[tuple[str, str]]:
    """The outermost parts of `any` that can never hold: (path, field). `given`: what holds besides; then only parts
    that it alone keeps from holding."""
    match condition:
        case All(all=parts):
            for part in parts:
                yield from dead_parts(part, given)
        case AnyOf(any=parts):
            for number, part in enumerate(parts):
                field = contradiction(part)
                if given is not None:
                    field = contradiction(All(all=(given, part))) if field is None else None
                if field is not None:
                    yield f"{condition.path}[{number}]", field
                elif contradiction(part) is None:
                    yield from dead_parts(part, given)


def named(key: Key) -> str:
    return ".".join(filter(None, key))


class Stopping:
    """Rules that stop, to look up which of them stops before a later one wherever that one holds."""

    def __init__(self) -> None:
        self._left = _PAIRS
        self._by_text: dict[tuple[Key, str], list[_Stop]] = {}
        self._by_key: dict[Key, list[_Stop]] = {}
        self._other: dict[Key, list[_Stop]] = {}

    def add(self, rule: Rule) -> None:
        """Nothing is provable by a rule whose condition may break or turns on what other rules change."""
        without = conjunctions(rule.when, holds=False) if _steady(rule.when) else None
        if not without:
            return
        # To be shadowed, a rule has to exclude each of these; it is looked up by the one that is rarest.
        first = min(without, key=_breadth)
        stop = _Stop(rule, without)
        for key in {literal.key for literal in first}:
            self._by_key.setdefault(key, []).append(stop)
        if _breadth(first) < _MANY:
            for text in first[0].texts:
                self._by_text.setdefault((first[0].key, text), []).append(stop)
        else:
            for key in {literal.key for literal in first}:
                self._other.setdefault(key, []).append(stop)

    def before(self, rule: Rule) -> Rule | None:
        """A rule that stops wherever this one holds."""
        own = conjunctions(rule.when)
        if not own:
            return None
        for stop in dict.fromkeys(self._near(own[0])):
            self._left -= 1
            if self._left < 0:
                return None  # hundreds of rules that all look alike: what is not looked at is not told
            if set(rule.on) <= set(stop.rule.on) and all(
                impossible((*one, *other)) is not None for one in own for other in stop.without
            ):
                never = contradiction(rule.when) is not None  # that is told by itself
                return None if never else stop.rule
        return None

    def _near(self, conjunction: Conjunction) -> Iterator["_Stop"]:
        for literal in conjunction:
            keys = [literal.key, *([("message", "")] if literal.key[0] in ("subject", "text") else [])]
            for key in keys:
                if literal.leaf.operator in ("equals", "in") and FIELDS[literal.leaf.field].kind != "word":
                    yield from self._by_key.get(key, ())
                    continue
                for text in literal.texts:
                    yield from self._by_text.get((key, text), ())
                yield from self._other.get(key, ())


class _Stop:
    def __init__(self, rule: Rule, without: list[Conjunction]) -> None:
        self.rule, self.without = rule, without


_PAIRS = 30_000
"""At most so many are compared, some 50 µs each: a check must not take minutes."""
_MANY = 4


def _breadth(conjunction: Conjunction) -> int:
    if len(conjunction) != 1 or conjunction[0].holds or conjunction[0].leaf.operator not in _BY_TEXT:
        return _MANY
    kind = FIELDS[conjunction[0].leaf.field].kind
    return {"text": 1, "address": 1, "word": 2, "set": 2}.get(kind, _MANY)


def _steady(condition: Condition | None) -> bool:
    match condition:
        case Leaf(field=name):
            return name in FIELDS and not FIELDS[name].changes
        case All(all=parts) | AnyOf(any=parts):
            return all(map(_steady, parts))
        case Not(negated=part):
            return _steady(part)
        case Expression():
            return False
        case None:
            return True


def stops(rule: Rule) -> bool:
    """Whether it always stops where it holds. One that holds or closes does not: once released, it lets go."""
    return rule.stop and rule.hold is None and rule.close is None


def shadowed(rules: Iterable[Rule]) -> Iterator[tuple[Rule, Rule]]:
    """(rule, the rule that stops before it), for rules in the order in which they run."""
    stopping = Stopping()
    for rule in rules:
        by = stopping.before(rule) if rule.when is not None else None
        if by is not None:
            yield rule, by
        if rule.when is not None and stops(rule):
            stopping.add(rule)
