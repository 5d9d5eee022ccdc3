"""Rules → compiled rules and the index that finds the few that a text could make fire.

Many rules need certain words in the subject or the text. The index holds those words (their anchors); a rule whose
anchor does not occur cannot fire and is not evaluated. A rule without an anchor is always evaluated. The index may
only ever leave out rules that could not have fired: a property test compares with evaluating every rule.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from rules.conditions import Node, compile_condition
from rules.fields import FIELDS, View
from rules.model import All, AnyOf, Condition, Leaf, Rule
from rules.words import Phrase, phrase, tokens

ANCHORED = ("subject", "text", "message")
"""The fields whose words are indexed."""


@dataclass(frozen=True, slots=True)
class CompiledRule:
    rule: Rule
    when: Node | None


@dataclass(frozen=True, slots=True)
class Index:
    """By whole word, and by part for phrases that may stand inside of words."""

    words: dict[str, list[int]] = field(default_factory=dict)
    parts: dict[str, list[int]] = field(default_factory=dict)
    always: list[int] = field(default_factory=list)

    def add(self, number: int, anchor: tuple[Phrase, ...] | None) -> None:
        if anchor is None:
            self.always.append(number)
            return
        for one in anchor:
            if one.token is not None:
                self.words.setdefault(one.token, []).append(number)
            else:
                self.parts.setdefault(one.text, []).append(number)

    def candidates(self, view: View) -> list[int]:
        """The numbers of the rules that could fire, ascending."""
        found = set(self.always)
        if self.words or self.parts:
            texts = view.normal("message")
            for text in texts:
                for token in tokens(text) if self.words else ():
                    if token in self.words:
                        found.update(self.words[token])
                for part, numbers in self.parts.items():
                    if part in text:
                        found.update(numbers)
        return sorted(found)


@dataclass(frozen=True, slots=True)
class CompiledRules:
    """In the order in which they run."""

    rules: tuple[CompiledRule, ...]
    index: Index


def compile_rules(rules: Iterable[Rule]) -> CompiledRules:
    """Raises ValueError for a condition that cannot be compiled; `rules.check` finds these first."""
    ordered = sorted(rules, key=lambda rule: (rule.order, rule.name))
    index = Index()
    compiled = []
    for number, rule in enumerate(ordered):
        compiled.append(CompiledRule(rule, compile_condition(rule.when) if rule.when is not None else None))
        index.add(number, anchor_of(rule.when))
    return CompiledRules(tuple(compiled), index)


def anchor_of(condition: Condition | None) -> tuple[Phrase, ...] | None:
    """Phrases of which at least one has to occur for the condition to hold; None if there are no such."""
    match condition:
        case Leaf(field=name, operator="contains") if name in ANCHORED:
            return _phrases(condition)
        case Leaf(field=name, operator="contains_all") if name in ANCHORED:
            return (max(_phrases(condition), key=lambda p: (p.token is not None, len(p.text))),)
        case All(all=parts):
            anchors = [anchor for anchor in map(anchor_of, parts) if anchor is not None]
            return min(anchors, key=_breadth) if anchors else None
        case AnyOf(any=parts):
            branches = [anchor_of(part) for part in parts]
            known = [branch for branch in branches if branch is not None]
            return tuple(p for branch in known for p in branch) if len(known) == len(branches) else None
        case _:
            return None


def _phrases(leaf: Leaf) -> tuple[Phrase, ...]:
    assert FIELDS[leaf.field].kind == "text"
    values = leaf.value if isinstance(leaf.value, tuple) else (str(leaf.value),)
    return tuple(phrase(value, part=leaf.match == "part") for value in values)


def _breadth(anchor: tuple[Phrase, ...]) -> tuple[int, int]:
    """Fewer phrases let fewer rules through; phrases that may be parts cost a search each."""
    return sum(p.token is None for p in anchor), len(anchor)
