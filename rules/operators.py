"""One comparison → a function of the view, made once per policy."""

import operator
from collections.abc import Callable
from typing import Any

import re2

from rules.addresses import address_form, domain_form, ending_form, phone_form
from rules.fields import FIELDS, View
from rules.index import phrases_of
from rules.model import Leaf
from rules.phrases import SUBJECT, TEXT, PhraseBook
from rules.quantities import MEASURES, in_networks, in_windows
from rules.words import normal, phrase

REGEX_CHARS = 4096
REMEMBERED = 1024
"""How many values of a field with few different ones are remembered with what became of them."""

_COMPARISONS = {
    "less_than": operator.lt,
    "at_most": operator.le,
    "more_than": operator.gt,
    "at_least": operator.ge,
}

Test = Callable[[View], bool]
Values = tuple[str, ...]


def leaf_test(leaf: Leaf, book: PhraseBook) -> Test:
    """Its phrases are numbered in `book`. Raises ValueError for a regex that RE2 refuses."""
    field, name = leaf.field, leaf.name
    words = _words_test(leaf, book)
    if words is not None:
        return words
    plain = FIELDS[field].plain
    if plain is not None and FIELDS[field].kind in ("word", "flag"):
        return _remembered(plain, value_test(leaf))
    judge = _judge(leaf)
    if _as_written(leaf):
        return lambda view: judge(view.raw(field, name))
    form = _value_form(leaf)
    return lambda view: judge(view.normal(field, name, form))


def value_test(leaf: Leaf) -> Callable[[Values], bool]:
    """Its test of a field's values as they came, without empty ones."""
    judge, form = _judge(leaf), _value_form(leaf)
    return judge if _as_written(leaf) else lambda values: judge(tuple(map(form, values)))


def _value_form(leaf: Leaf) -> Callable[[str], str]:
    if leaf.field == "sender_domain":
        return domain_form
    if _is_phone(leaf):
        return phone_form
    return address_form if _is_address(leaf) else normal


def text_form(leaf: Leaf) -> Callable[[str], str]:
    """How the texts of a comparison are written to be compared with values."""
    if leaf.field == "sender_domain" or leaf.operator == "domain":
        return domain_form
    if _is_phone(leaf):
        return phone_form
    if _is_address(leaf):
        return ending_form if leaf.operator == "ends_with" else address_form
    return normal


def _is_phone(leaf: Leaf) -> bool:
    return leaf.field in ("phone", "called") and leaf.operator in ("equals", "in", "starts_with", "ends_with")


def _is_address(leaf: Leaf) -> bool:
    """Compared as an address, not looked through for words."""
    return FIELDS[leaf.field].kind == "address" and leaf.operator not in ("contains", "contains_all")


def _as_written(leaf: Leaf) -> bool:
    return leaf.operator in ("exists", "regex", "cidr") or FIELDS[leaf.field].kind in MEASURES


def _words_test(leaf: Leaf, book: PhraseBook) -> Test | None:
    """The test of a condition on the words of the message, by what the one pass over the text has found."""
    phrases = phrases_of(leaf)
    if phrases is None:
        return None
    numbers = tuple(book.number(phrase) for phrase in phrases)
    where = {"subject": SUBJECT, "text": TEXT, "message": SUBJECT | TEXT}[leaf.field]
    if len(numbers) == 1:
        number = numbers[0]
        return lambda view: view.hits.get(number, 0) & where != 0
    if leaf.operator == "contains_all":
        return lambda view: all(view.hits.get(number, 0) & where for number in numbers)

    def any_of(view: View) -> bool:
        hits = view.hits
        for number in numbers:  # noqa: SIM110 - a generator costs as much as several look-ups
            if hits.get(number, 0) & where:
                return True
        return False

    return any_of


def _remembered(plain: Callable[[View], Any], judge: Callable[[Values], bool]) -> Test:
    known: dict[Any, bool] = {}

    def test(view: View) -> bool:
        value = plain(view)
        answer = known.get(value)
        if answer is None:
            if len(known) >= REMEMBERED:
                known.clear()
            answer = known[value] = judge((value,) if value else ())
        return answer

    return test


def _judge(leaf: Leaf) -> Callable[[Values], bool]:
    """What decides on the field's values: as they came for `exists`, `regex`, `cidr` and what is measured, in their
    normal form for the rest."""
    if FIELDS[leaf.field].kind in MEASURES and leaf.operator != "exists":
        return _measured(leaf)
    texts = tuple(map(text_form(leaf), leaf.texts))
    wanted = frozenset(texts)
    part = leaf.match == "part"
    match leaf.operator:
        case "exists":
            exists = leaf.value is True
            return lambda values: bool(values) is exists
        case "equals" | "in":
            return lambda values: not wanted.isdisjoint(values)
        case "starts_with":
            return lambda values: any(value.startswith(texts) for value in values)
        case "ends_with":
            return lambda values: any(value.endswith(texts) for value in values)
        case "domain":
            below = tuple(text[1:] for text in texts if text.startswith("*."))
            if not below:
                return lambda values: any(value.rpartition("@")[2] in wanted for value in values)
            return lambda values: any(
                domain in wanted or domain.endswith(below) for domain in (value.rpartition("@")[2] for value in values)
            )
        case "cidr":
            networks = leaf.texts
            return lambda values: any(in_networks(value, networks) for value in values)
        case "regex":
            regex = compile_regex(leaf.texts[0])
            return lambda values: any(regex.search(value) is not None for value in values)
        case "contains" | "contains_all" if FIELDS[leaf.field].kind == "set":
            if leaf.operator == "contains":
                return lambda values: not wanted.isdisjoint(values)
            return lambda values: wanted.issubset(values)
        case "contains":
            phrases = tuple(phrase(text, part=part) for text in leaf.texts)
            return lambda values: any(p.found_in(value) for value in values for p in phrases)
        case "contains_all":
            phrases = tuple(phrase(text, part=part) for text in leaf.texts)
            return lambda values: all(any(p.found_in(v) for v in values) for p in phrases)
        case _:
            raise ValueError(f"{leaf.operator} does not fit {leaf.field}")


def _measured(leaf: Leaf) -> Callable[[Values], bool]:
    measure = MEASURES[FIELDS[leaf.field].kind]
    if leaf.operator == "between":
        windows = leaf.texts
        return lambda values: any(in_windows(measure(value), windows) for value in values)
    wanted = tuple(map(measure, leaf.texts))
    if leaf.operator in ("equals", "in"):
        return lambda values: any(measure(value) in wanted for value in values)
    compare, bound = _COMPARISONS[leaf.operator], wanted[0]
    return lambda values: any(compare(measure(value), bound) for value in values)


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
