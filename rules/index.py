"""The index that finds the few rules that an interaction could make fire.

A rule is filed under what it cannot do without: phrases of which one has to occur, or a value that a field has to have.
A rule that cannot do without anything is always evaluated. The index may only ever leave out rules that could not have
fired: a property test compares with evaluating every rule.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from rules.fields import FIELDS, View
from rules.literals import required_letters
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
    "header": lambda view: (
        [(name.lower(), value) for name, value in view.interaction.content.headers]
        if view.interaction.content.channel == "email"
        else ()
    ),
    "attribute": lambda view: view.interaction.attributes.items(),
    "form": lambda view: (
        view.interaction.content.fields.items() if view.interaction.content.channel == "web_form" else ()
    ),
}
_BREADTH = {name: 10 * rank for rank, name in enumerate(_PLAIN, start=1)}


class Index:
    """Rules by their anchors, as numbers in the order in which they run."""

    def __init__(self, phrases: PhraseBook | None = None) -> None:
        self.phrases = phrases or PhraseBook()
        self.always: list[int] = []
        self._by_phrase: dict[int, list[int]] = {}
        self._plain: dict[str, _Filed] = {}
        self._named: dict[str, dict[str, _Filed]] = {}

    def add(self, number: int, anchors: Iterable[Anchor] | None) -> None:
        """File a rule. None: nothing is known that it cannot do without."""
        if anchors is None:
            self.always.append(number)
            return
        for anchor in anchors:
            if isinstance(anchor, Words):
                self._by_phrase.setdefault(self.phrases.number(anchor.phrase), []).append(number)
            elif anchor.field in _PLAIN:
                self._plain.setdefault(anchor.field, _Filed()).add(anchor.value, number)
            else:
                self._named.setdefault(anchor.field, {}).setdefault(anchor.name, _Filed()).add(anchor.value, number)

    def candidates(self, view: View) -> list[int]:
        """The numbers of the rules that could fire, ascending."""
        found = list(self.always)
        by_phrase = self._by_phrase
        for number in view.hits:
            if number in by_phrase:
                found += by_phrase[number]
        for field, filed in self._plain.items():
            found += filed[_PLAIN[field](view)]
        for field, names in self._named.items():
            for name, value in _NAMED[field](view):
                if name in names:
                    found += names[name][value]
        return sorted(set(found)) if len(found) > 1 else found


class _Filed(dict[Any, tuple[int, ...]]):
    """Rules by a field's value. A value as it comes is looked up in its normal form once, and then remembered."""

    def __init__(self) -> None:
        super().__init__()
        self._rules: dict[str | None, list[int]] = {}

    def add(self, value: str | None, number: int) -> None:
        self._rules.setdefault(value, []).append(number)

    def __missing__(self, value: str | None) -> tuple[int, ...]:
        if len(self) >= REMEMBERED:
            self.clear()
        found = self[value] = (*self._rules.get(normal(value or ""), ()), *self._rules.get(None, ()))
        return found


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
    if leaf.operator == "regex":
        letters = required_letters(str(leaf.value))
        return (Words(phrase(letters, part=True)),) if letters else None
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
    named = leaf.field in _NAMED
    name = leaf.name.lower() if leaf.field == "header" else leaf.name
    values = leaf.value if isinstance(leaf.value, tuple) else (str(leaf.value),)
    if named and leaf.operator == "exists" and leaf.value is True:
        return (Value(leaf.field, name, None),)
    if leaf.operator in ("equals", "in") and (named or (leaf.field in _PLAIN and leaf.field != "sender")):
        return tuple(Value(leaf.field, name, normal(value)) for value in values)
    if leaf.field == "sender" and leaf.operator == "domain" and not any("*" in value for value in values):
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
