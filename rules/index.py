"""The index that finds the few rules that an interaction could make fire.

A rule is filed under what it cannot do without: phrases of which one has to occur, or a value that a field has to have.
A rule that cannot do without anything is always evaluated. Of the rules so found, a *gate* leaves out those that want
another channel, language, customer tier, verdict or account: few values, met again and again. The index may
only ever leave out rules that could not have fired: a property test compares with evaluating every rule.
"""

from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any, NamedTuple

from rules.addresses import domain_form, domain_of
from rules.fields import View
from rules.literals import required_letters
from rules.model import All, AnyOf, Condition, Leaf
from rules.phrases import PhraseBook
from rules.words import Phrase, normal, phrase

ANCHORED = ("subject", "text", "message")
"""The fields whose words are indexed."""

REMEMBERED = 4096
"""How many different values of a field are remembered with the rules filed under them."""
REMEMBERED_GATES = 512


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
_GATED = {
    "customer_tier": "facts.customer_tier",
    "language": "interaction.language",
    "account": "interaction.account",
    "verdict": "interaction.sender.verdict",
    "channel": "interaction.content.channel",
}
"""The fields with few values, met again and again → where a view has them."""
_gated: Callable[[View], tuple[str | None, ...]] = attrgetter(*_GATED.values())

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
_PLAIN = ("sender", *_GATED)
_BREADTH = {name: 10 * rank for rank, name in enumerate(_PLAIN, start=1)}


class Index:
    """Rules by their anchors, as numbers in the order in which they run."""

    def __init__(self, phrases: PhraseBook | None = None) -> None:
        self.phrases = phrases or PhraseBook()
        self.always: list[int] = []
        self._by_phrase: dict[int, list[int]] = {}
        self._by_domain = _Filed(domain_form)
        self._gated: dict[str, _Filed] = {}
        self._named: dict[str, dict[str, _Filed]] = {}
        self._wanted: list[tuple[frozenset[str] | None, ...]] = []
        self._gates: dict[tuple[str | None, ...], _Gate] = {}

    def add(self, number: int, condition: Condition | None) -> None:
        """File the next rule."""
        wanted = _values_wanted(condition)
        self._wanted.append(tuple(wanted.get(name) for name in _GATED))
        anchors = anchors_of(condition)
        if anchors is None:
            self.always.append(number)
            return
        for anchor in anchors:
            if isinstance(anchor, Words):
                self._by_phrase.setdefault(self.phrases.number(anchor.phrase), []).append(number)
            elif anchor.field == "sender":
                self._by_domain.add(anchor.value, number)
            elif anchor.field in _GATED:
                self._gated.setdefault(anchor.field, _Filed()).add(anchor.value, number)
            else:
                self._named.setdefault(anchor.field, {}).setdefault(anchor.name, _Filed()).add(anchor.value, number)

    def candidates(self, view: View) -> list[int]:
        """The numbers of the rules that could fire, ascending."""
        values = _gated(view)
        gate = self._gates.get(values) or self._gate(values)
        by_phrase, more = self._by_phrase, []
        for number in view.hits:
            if number in by_phrase:
                more += by_phrase[number]
        if self._by_domain.filed:
            more += self._by_domain[domain_of(view.interaction.sender.address)]
        for field, names in self._named.items():
            for name, value in _NAMED[field](view):
                if name in names:
                    more += names[name][value]
        if not more:
            return gate.found
        passes = gate.passes
        return sorted({*gate.found, *[number for number in more if passes[number]]})

    def _gate(self, values: tuple[str | None, ...]) -> "_Gate":
        """What these values of the gated fields decide about all rules at once."""
        if len(self._gates) >= REMEMBERED_GATES:
            self._gates.clear()
        folded = [normal(value or "") for value in values]
        passes = bytes(
            all(fits is None or value in fits for value, fits in zip(folded, wanted, strict=True))
            for wanted in self._wanted
        )
        found = {*self.always}
        for field, value in zip(_GATED, values, strict=True):
            if field in self._gated:
                found.update(self._gated[field][value])
        gate = self._gates[values] = _Gate(passes, sorted(number for number in found if passes[number]))
        return gate


class _Gate(NamedTuple):
    passes: bytes
    """For each rule: 1 if it may fire, 0 if it cannot."""
    found: list[int]
    """The rules that could fire whatever else the interaction holds."""


class _Filed(dict[Any, tuple[int, ...]]):
    """Rules by a field's value. A value as it comes is looked up in the form in which it is compared once, and then
    remembered."""

    def __init__(self, form: Callable[[str], str] = normal) -> None:
        super().__init__()
        self._form = form
        self.filed: dict[str | None, list[int]] = {}

    def add(self, value: str | None, number: int) -> None:
        self.filed.setdefault(value, []).append(number)

    def __missing__(self, value: str | None) -> tuple[int, ...]:
        if len(self) >= REMEMBERED:
            self.clear()
        found = self[value] = (*self.filed.get(self._form(value or ""), ()), *self.filed.get(None, ()))
        return found


def _values_wanted(condition: Condition | None) -> dict[str, frozenset[str]]:
    """The values that a field has to have for the condition to hold, as far as it says so."""
    match condition:
        case Leaf(field=name, operator="equals" | "in") if name in _GATED:
            return {name: frozenset(map(normal, condition.texts))}
        case All(all=parts):
            wanted: dict[str, frozenset[str]] = {}
            for part in parts:
                for name, values in _values_wanted(part).items():
                    wanted[name] = wanted.get(name, values) & values
            return wanted
        case _:
            return {}


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
    phrases = tuple(phrase(text, part=leaf.match == "part") for text in leaf.texts)
    return phrases if all(each.text for each in phrases) else None


def _of_value(leaf: Leaf) -> tuple[Anchor, ...] | None:
    named = leaf.field in _NAMED
    name = leaf.name.lower() if leaf.field == "header" else leaf.name
    values = leaf.texts
    if named and leaf.operator == "exists" and leaf.value is True:
        return (Value(leaf.field, name, None),)
    if leaf.operator in ("equals", "in") and (named or (leaf.field in _PLAIN and leaf.field != "sender")):
        return tuple(Value(leaf.field, name, normal(value)) for value in values)
    if leaf.field == "sender" and leaf.operator == "domain" and not any("*" in value for value in values):
        return tuple(Value(leaf.field, "", domain_form(value)) for value in values)
    return None


def _breadth(anchors: tuple[Anchor, ...]) -> tuple[int, int]:
    """How much is let through: by the commonest kind of anchor, then by how many there are."""
    return max((_kind(anchor) for anchor in anchors), default=0), len(anchors)


def _kind(anchor: Anchor) -> int:
    if isinstance(anchor, Words):
        # Letters that may stand inside of words are found often.
        return 0 if anchor.phrase.left and anchor.phrase.right else 5
    return _BREADTH.get(anchor.field, 1)
