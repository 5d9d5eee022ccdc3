"""The index that finds the few rules that an interaction could make fire.

A rule is filed under what it cannot do without: phrases of which one has to occur, or a value that a field has to have.
A rule that cannot do without anything is always evaluated. The index may only ever leave out rules that could not have
fired: a property test compares with evaluating every rule.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from rules.fields import FIELDS, View
from rules.model import All, AnyOf, Condition, Leaf
from rules.phrases import PhraseBook
from rules.words import Phrase, normal, phrase

ANCHORED = ("subject", "text", "message")
"""The fields whose words are indexed."""

REMEMBERED = 4096
"""How many different values of a field are remembered with the rules filed under them."""


class Words(NamedTuple):
    """A phrase has to occur."""

    phrase: Phrase


class Value(NamedTuple):
    """A field has to have this value (normal form); None: any value."""

    field: str
    name: str
    value: str | None


Anchor = Words | Value

# By how rare a value of it is, from experience: what a rule is filed under if there is a choice.
_PLAIN: dict[str, Callable[[View], Any]] = {
    "sender": lambda view: view.interaction.sender.address.rpartition("@")[2],
} | {
    name: plain
    for name in ("customer_tier", "language", "account", "verdict", "channel")
    if (plain := FIELDS[name].plain) is not None
}
_NAMED: dict[str, Callable[[View], Iterable[tuple[str, str]]]] = {
    "header": lambda view: view.interaction.content.headers if view.interaction.channel == "email" else (),  # type: ignore[union-attr]
    "attribute": lambda view: view.interaction.attributes.items(),
    "form": lambda view: view.interaction.content.fields.items() if view.interaction.channel == "web_form" else (),  # type: ignore[union-attr]
}
_BREADTH = {name: 10 * rank for rank, name in enumerate(_PLAIN, start=1)}


class Index:
    """Rules by their anchors, as numbers in the order in which they run."""

    def __init__(self, phrases: PhraseBook | None = None) -> None:
        self.phrases = phrases or PhraseBook()
        self.always: list[int] = []
        self._by_phrase: dict[int, list[int]] = {}
        self._filed: dict[str, dict[tuple[str, str | None], list[int]]] = {}
        self._remembered: dict[str, dict[Any, tuple[int, ...]]] = {}

    def add(self, number: int, anchors: Iterable[Anchor] | None) -> None:
        """File a rule. None: nothing is known that it cannot do without."""
        if anchors is None:
            self.always.append(number)
            return
        for anchor in anchors:
            if isinstance(anchor, Words):
                self._by_phrase.setdefault(self.phrases.number(anchor.phrase), []).append(number)
            else:
                filed = self._filed.setdefault(anchor.field, {})
                filed.setdefault((anchor.name, anchor.value), []).append(number)
                self._remembered[anchor.field] = {}

    def candidates(self, view: View) -> list[int]:
        """The numbers of the rules that could fire, ascending."""
        found = list(self.always)
        for number in view.hits:
            found += self._by_phrase.get(number, ())
        for field, remembered in self._remembered.items():
            plain = _PLAIN.get(field)
            if plain is not None:
                value = plain(view)
                numbers = remembered.get(value)
                found += self._look_up(field, "", value) if numbers is None else numbers
                continue
            for pair in _NAMED[field](view):
                numbers = remembered.get(pair)
                found += self._look_up(field, *pair) if numbers is None else numbers
        return sorted(set(found)) if len(found) > 1 else found

    def _look_up(self, field: str, name: str, value: str | None) -> tuple[int, ...]:
        filed, remembered = self._filed[field], self._remembered[field]
        if len(remembered) >= REMEMBERED:
            remembered.clear()
        key = name.lower() if field == "header" else name
        numbers = (*filed.get((key, normal(value or "")), ()), *filed.get((key, None), ()))
        remembered[value if field in _PLAIN else (name, value)] = numbers
        return numbers


def anchors_of(condition: Condition | None) -> tuple[Anchor, ...] | None:
    """What of which at least one has to be there for the condition to hold; None if there is no such thing."""
    match condition:
        case Leaf(field=name) if name in ANCHORED:
            return _of_words(condition)
        case Leaf():
            return _of_value(condition)
        case All(all=parts):
            known = [anchors for anchors in map(anchors_of, parts) if anchors is not None]
            return min(known, key=_breadth) if known else None
        case AnyOf(any=parts):
            branches = [anchors_of(part) for part in parts]
            known = [branch for branch in branches if branch is not None]
            return tuple(anchor for branch in known for anchor in branch) if len(known) == len(branches) else None
        case _:
            return None


def _of_words(leaf: Leaf) -> tuple[Anchor, ...] | None:
    phrases = phrases_of(leaf)
    if phrases is None:
        return None
    if leaf.operator == "contains":
        return tuple(map(Words, phrases))
    return (Words(max(phrases, key=lambda phrase: len(phrase.text))),)


def phrases_of(leaf: Leaf) -> tuple[Phrase, ...] | None:
    """What a condition on words looks for; None for other conditions, and where one of them is empty."""
    if leaf.operator not in ("contains", "contains_all") or leaf.field not in ANCHORED:
        return None
    values = leaf.value if isinstance(leaf.value, tuple) else (str(leaf.value),)
    phrases = tuple(phrase(value, part=leaf.match == "part") for value in values)
    return phrases if all(each.text for each in phrases) else None


def _of_value(leaf: Leaf) -> tuple[Anchor, ...] | None:
    named = FIELDS[leaf.field].named
    name = leaf.name.lower() if leaf.field == "header" else leaf.name
    values = leaf.value if isinstance(leaf.value, tuple) else (str(leaf.value),)
    if named and leaf.operator == "exists" and leaf.value is True:
        return (Value(leaf.field, name, None),)
    if leaf.operator in ("equals", "in") and (named or (leaf.field in _PLAIN and leaf.field != "sender")):
        return tuple(Value(leaf.field, name, normal(value)) for value in values)
    if leaf.field == "sender" and leaf.operator == "domain":
        return tuple(Value(leaf.field, "", normal(value)) for value in values)
    return None


def _breadth(anchors: tuple[Anchor, ...]) -> tuple[int, int]:
    """How much is let through: by the commonest kind of anchor, then by how many there are."""
    return max((_kind(anchor) for anchor in anchors), default=0), len(anchors)


def _kind(anchor: Anchor) -> int:
    if isinstance(anchor, Words):
        # Letters that may stand inside of words are found often.
        return 0 if anchor.phrase.left and anchor.phrase.right else 5
    return _BREADTH.get(anchor.field, 1)
