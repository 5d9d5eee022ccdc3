"""The fields that a condition may look at: what kind each is, which operators fit, and how it is read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from operator import attrgetter
from typing import Any, Literal, get_args

from rules.calendar import Calendar
from rules.model import Operator
from rules.phrases import Hits, PhraseBook
from rules.words import normal
from schemas.decision import TIERS, Tier
from schemas.interaction import CHANNELS, Verdict
from schemas.limits import TEXT_CHARS
from schemas.structs import Facts, Interaction

Kind = Literal["text", "word", "address", "set", "flag", "hours"]

OPERATORS: dict[Kind, tuple[Operator, ...]] = {
    "text": ("contains", "contains_all", "starts_with", "ends_with", "equals", "in", "regex", "exists"),
    "address": ("domain", "contains", "contains_all", "starts_with", "ends_with", "equals", "in", "regex", "exists"),
    "word": ("equals", "in", "exists"),
    "set": ("contains", "contains_all", "exists"),
    "flag": ("equals",),
    "hours": ("equals",),
}


@dataclass(slots=True)
class SoFar:
    """What the rules before this one have decided."""

    queue: str | None = None
    tier: Tier | None = None
    tags: dict[str, None] = field(default_factory=dict)


class View:
    """One interaction as the conditions see it. Folded forms are made once, when first asked for."""

    __slots__ = ("_calendar_of", "_normal", "facts", "hits", "interaction", "now", "so_far")

    def __init__(
        self,
        interaction: Interaction,
        facts: Facts,
        now: datetime,
        calendar_of: Callable[[str | None], Calendar],
        book: PhraseBook,
    ) -> None:
        self.interaction = interaction
        self.facts = facts
        self.now = now
        self.so_far = SoFar()
        self._calendar_of = calendar_of
        self.hits: Hits = book.scan(interaction.subject, interaction.text[:TEXT_CHARS])
        """Which phrases of the policy stand in subject and text, and in which of them."""
        self._normal: dict[tuple[str, str], tuple[str, ...]] = {}

    def raw(self, name: str, part: str = "") -> tuple[str, ...]:
        """The values of a field as they came; without empty ones."""
        return tuple([value for value in FIELDS[name].read(self, part) if value])

    def normal(self, name: str, part: str = "") -> tuple[str, ...]:
        """The values of a field as they are compared."""
        if FIELDS[name].changes:
            return tuple(normal(value) for value in self.raw(name, part))
        key = (name, part)
        values = self._normal.get(key)
        if values is None:
            values = self._normal[key] = tuple(map(normal, self.raw(name, part)))
        return values

    def is_open(self) -> bool:
        return self._calendar_of(self.so_far.queue or self.interaction.queue).is_open(self.now)


@dataclass(frozen=True, slots=True)
class Field:
    """A field of the rule language."""

    kind: Kind
    read: Callable[[View, str], tuple[str | None, ...]]
    plain: Callable[[View], str | None] | None = None
    """Quick access, for a field with exactly one value that no rule changes."""
    values: tuple[str, ...] = ()
    """The only values there are, if they are known."""
    named: bool = False
    """It needs a name: `header`, `attribute.x`, `form.x`."""
    changes: bool = False
    """Earlier rules may change it."""


def _message(view: View, _: str) -> tuple[str, ...]:
    return (view.interaction.subject, view.interaction.text[:TEXT_CHARS])


def _headers(view: View, name: str) -> tuple[str, ...]:
    content = view.interaction.content
    if content.channel != "email":
        return ()
    wanted = name.lower()
    return tuple(value or " " for key, value in content.headers if key.lower() == wanted)


def _form(view: View, name: str) -> tuple[str, ...]:
    content = view.interaction.content
    return (content.fields.get(name, ""),) if content.channel == "web_form" else ()


def _one(kind: Kind, plain: Callable[[View], str | None], **more: Any) -> Field:
    """A field with one value."""
    return Field(kind, lambda view, _: (plain(view),), plain, **more)


FIELDS: Mapping[str, Field] = {
    "subject": _one("text", attrgetter("interaction.subject")),
    "text": _one("text", lambda v: v.interaction.text[:TEXT_CHARS]),
    "message": Field("text", _message),
    "header": Field("text", _headers, named=True),
    "attribute": Field("text", lambda v, name: (v.interaction.attributes.get(name, ""),), named=True),
    "form": Field("text", _form, named=True),
    "sender": _one("address", attrgetter("interaction.sender.address")),
    "channel": _one("word", attrgetter("interaction.content.channel"), values=CHANNELS),
    "account": _one("word", attrgetter("interaction.account")),
    "language": _one("word", attrgetter("interaction.language")),
    "verdict": _one("word", attrgetter("interaction.sender.verdict"), values=get_args(Verdict)),
    "customer_tier": _one("word", attrgetter("facts.customer_tier")),
    "customer_tags": Field("set", lambda v, _: v.facts.customer_tags),
    "automatic": _one("flag", lambda v: "true" if v.interaction.automatic else "false"),
    "business_hours": Field(
        "hours", lambda v, _: ("open",) if v.is_open() else ("closed",), values=("open", "closed"), changes=True
    ),
    "queue": Field("word", lambda v, _: (v.so_far.queue,), changes=True),
    "tier": Field("word", lambda v, _: (v.so_far.tier,), values=TIERS, changes=True),
    "tags": Field("set", lambda v, _: tuple(v.so_far.tags), changes=True),
}
"""`message` is subject or text: a condition on it holds if it holds for one of the two."""
