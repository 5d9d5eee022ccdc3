"""What is wrong with a priority table: rows that can never fit, names that are not there."""

from collections.abc import Iterator, Mapping
from typing import get_args

from rules.model import PolicySource, TableCondition, TableRow
from rules.problems import Problem, did_you_mean, nearest_place
from rules.signals import short
from rules.words import normal, phrase
from schemas.decision import TIERS
from schemas.interaction import CHANNELS, Verdict

_LISTS = ("customer_tier", "agreement", "segment", "channel", "language", "verdict", "tags")
_ALL: Mapping[str, frozenset[str]] = {"channel": frozenset(CHANNELS), "verdict": frozenset(get_args(Verdict))}
"""Fields of which the values are known, and every interaction has one."""

Asked = Mapping[str, frozenset[str]]
"""Field → of which values one has to be there; what is asked of no interaction in particular is left out."""


def problems_of_priority(source: PolicySource) -> Iterator[Problem]:
    yield from _targets(source)
    yield from _agreements(source)
    yield from _urgent_words(source)
    yield from _table(source)


def _targets(source: PolicySource) -> Iterator[Problem]:
    for channel, targets in source.priority.targets.items():
        missing = [tier for tier in TIERS if tier not in targets]
        if missing:
            place = nearest_place(source.places, "priority", "targets", channel)
            yield Problem(place, f"priority targets for {channel} lack {', '.join(missing)}")


def _agreements(source: PolicySource) -> Iterator[Problem]:
    first: dict[str, str] = {}
    for name in source.priority.agreements:
        other = first.setdefault(normal(name), name)
        if other != name:
            place = nearest_place(source.places, "priority", "agreements", name)
            yield Problem(place, f"agreement {name!r} is {other!r} already", "case and accents make no difference")
    for number, row in enumerate(source.priority.table):
        for name in row.when.agreement if row.when is not None else ():
            if normal(name) not in first:
                place = nearest_place(source.places, "priority", "table", str(number), "when", "agreement")
                hint = did_you_mean(name, source.priority.agreements)
                yield Problem(place, f"priority table, row {number + 1}: unknown agreement {name!r}", hint)


def _urgent_words(source: PolicySource) -> Iterator[Problem]:
    first: dict[str, str] = {}
    for language, words in source.priority.urgent_words.items():
        place = nearest_place(source.places, "priority", "urgent_words", language)
        other = first.setdefault(short(language), language)
        if other != language:
            what = f"urgent_words: {language!r} and {other!r} are one language"
            yield Problem(place, what, "its words stand in one list")
        for word in words:
            if not phrase(word).text:
                yield Problem(place, f"urgent_words: {language}: {word!r} holds nothing to look for")


def _table(source: PolicySource) -> Iterator[Problem]:
    table = source.priority.table
    if not table or table[-1].when is not None:
        place = nearest_place(source.places, "priority", "table")
        yield Problem(place, "the priority table has no last row for everything else", "end it with '- {tier: P3}'")
    before: list[Asked] = []
    for number, row in enumerate(table):
        asked = _asked(row)
        by = next((n for n, other in enumerate(before) if _takes(other, asked)), None)
        place = nearest_place(source.places, "priority", "table", str(number))
        if by is not None and before[by]:  # of a row that takes everything that is said once
            what = f"priority table, row {number + 1} is never reached: row {by + 1} takes all that it would"
            yield Problem(place, what)
        if not asked and number < len(table) - 1 and by is None:
            what = f"priority table, row {number + 1} takes everything; the rows after it are never reached"
            yield Problem(place, what)
        before.append(asked)


def _asked(row: TableRow) -> Asked:
    when = row.when or TableCondition()
    asked = {name: frozenset(map(normal, getattr(when, name))) for name in _LISTS if getattr(when, name)}
    if when.urgent is not None:
        asked["urgent"] = frozenset([str(when.urgent)])
    return {name: values for name, values in asked.items() if name not in _ALL or not values >= _ALL[name]}


def _takes(one: Asked, other: Asked) -> bool:
    """Whether the row that asks for `one` fits wherever that which asks for `other` does."""
    return all(name in other and other[name] <= values for name, values in one.items())
