"""The fields that a condition may look at: what kind each is, which operators fit, and how it is read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from operator import attrgetter
from typing import Any, Literal, get_args

from rules.addresses import domain_of
from rules.calendar import DAYS, Calendar
from rules.model import Operator
from rules.phrases import Hits, PhraseBook
from schemas.decision import TIERS, ConversationState, Tier
from schemas.interaction import CHANNELS, Occasion, Verdict
from schemas.limits import TEXT_CHARS
from schemas.structs import Facts, Interaction

Kind = Literal["text", "word", "address", "set", "flag", "hours", "number", "span", "clock"]
_COMPARED: tuple[Operator, ...] = ("equals", "in", "less_than", "at_most", "more_than", "at_least")

OPERATORS: dict[Kind, tuple[Operator, ...]] = {
    "text": ("contains", "contains_all", "starts_with", "ends_with", "equals", "in", "regex", "cidr", "exists"),
    "address": ("domain", "contains", "contains_all", "starts_with", "ends_with", "equals", "in", "regex", "exists"),
    "word": ("equals", "in", "exists"),
    "set": ("contains", "contains_all", "exists"),
    "flag": ("equals",),
    "hours": ("equals",),
    "number": (*_COMPARED, "exists"),
    "span": (*_COMPARED, "exists"),
    "clock": (*_COMPARED, "between"),
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
        self._normal: dict[tuple[str, str, Callable[[str], str]], tuple[str, ...]] = {}

    def raw(self, name: str, part: str = "") -> tuple[str, ...]:
        """The values of a field as they came; without empty ones."""
        return tuple([value for value in FIELDS[name].read(self, part) if value])

    def normal(self, name: str, part: str, form: Callable[[str], str]) -> tuple[str, ...]:
        """The values of a field in the form in which they are compared."""
        if FIELDS[name].changes:
            return tuple(map(form, self.raw(name, part)))
        key = (name, part, form)
        values = self._normal.get(key)
        if values is None:
            values = self._normal[key] = tuple(map(form, self.raw(name, part)))
        return values

    @property
    def calendar(self) -> Calendar:
        """That of the queue as far as it is known."""
        return self._calendar_of(self.so_far.queue or self.interaction.queue)

    def is_open(self) -> bool:
        return self.calendar.is_open(self.now)

    @property
    def local(self) -> datetime:
        return self.now.astimezone(self.calendar.zone)


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


def _new_text(view: View) -> str:
    content = view.interaction.content
    new = content.new_text if content.channel == "email" else None
    return (view.interaction.text if new is None else new)[:TEXT_CHARS]


def _mail(*names: str) -> Callable[[View, str], tuple[str | None, ...]]:
    """Addresses of a mail."""

    def read(view: View, _: str) -> tuple[str | None, ...]:
        content = view.interaction.content
        if content.channel != "email":
            return ()
        return tuple(address for name in names for address in getattr(content, name))

    return read


def _of(channel: str, name: str) -> Callable[[View], str | None]:
    """One value that only one channel has."""

    def read(view: View) -> str | None:
        content = view.interaction.content
        value = getattr(content, name) if content.channel == channel else None
        return None if value is None else str(value)

    return read


def _phones(view: View, _: str) -> tuple[str, ...]:
    sender, content = view.interaction.sender, view.interaction.content
    own = (sender.address,) if sender.kind == "phone" else ()
    return tuple(dict.fromkeys((*own, content.caller) if content.channel == "phone_log" else own))


def _size(view: View) -> str:
    interaction = view.interaction
    if interaction.raw is not None:
        return str(interaction.raw.size)
    return str(len(interaction.text.encode("utf-8", "replace")) + sum(each.size for each in interaction.attachments))


def _contacts(view: View, days: str) -> tuple[str, ...]:
    facts = view.facts
    if days == "7":
        return (str(facts.contacts_7d),)
    return (str(sum(age < int(days) for age in facts.contact_days)),)


def _one(kind: Kind, plain: Callable[[View], str | None], **more: Any) -> Field:
    """A field with one value."""
    return Field(kind, lambda view, _: (plain(view),), plain, **more)


FIELDS: Mapping[str, Field] = {
    "subject": _one("text", attrgetter("interaction.subject")),
    "text": _one("text", lambda v: v.interaction.text[:TEXT_CHARS]),
    "new_text": _one("text", _new_text),
    "message": Field("text", _message),
    "header": Field("text", _headers, named=True),
    "attribute": Field("text", lambda v, name: (v.interaction.attributes.get(name, ""),), named=True),
    "form": Field("text", _form, named=True),
    "sender": _one("address", attrgetter("interaction.sender.address")),
    "sender_name": _one("text", attrgetter("interaction.sender.name")),
    "sender_domain": _one("word", lambda v: domain_of(v.interaction.sender.address)),
    "sender_kind": _one(
        "word", attrgetter("interaction.sender.kind"), values=("email", "phone", "session", "anonymous")
    ),
    "phone": Field("text", _phones),
    "called": _one("text", _of("phone_log", "callee")),
    "direction": _one("word", _of("phone_log", "direction"), values=("inbound", "outbound")),
    "disposition": _one("word", _of("phone_log", "disposition")),
    "duration": _one("span", _of("phone_log", "duration_s")),
    "to": Field("address", _mail("to")),
    "cc": Field("address", _mail("cc")),
    "reply_to": Field("address", _mail("reply_to")),
    "delivered_to": Field("address", _mail("delivered_to")),
    "recipient": Field("address", _mail("to", "cc", "delivered_to")),
    "envelope_from": _one("address", _of("email", "envelope_from")),
    "form_name": _one("word", _of("web_form", "form")),
    "page": _one("text", _of("chat", "page")),
    "attachments": _one("number", lambda v: str(len(v.interaction.attachments))),
    "attachment_name": Field("text", lambda v, _: tuple(each.name for each in v.interaction.attachments)),
    "attachment_type": Field("text", lambda v, _: tuple(each.media_type for each in v.interaction.attachments)),
    "attachment_size": _one("number", lambda v: str(sum(each.size for each in v.interaction.attachments))),
    "size": _one("number", _size),
    "channel": _one("word", attrgetter("interaction.content.channel"), values=CHANNELS),
    "account": _one("word", attrgetter("interaction.account")),
    "language": _one("word", attrgetter("interaction.language")),
    "verdict": _one("word", attrgetter("interaction.sender.verdict"), values=get_args(Verdict)),
    "customer_tier": _one("word", attrgetter("facts.customer_tier")),
    "customer_segment": _one("word", attrgetter("facts.customer_segment")),
    "agreement": _one("word", attrgetter("facts.agreement")),
    "known": _one("flag", lambda v: "true" if v.facts.known else "false"),
    "customer_tags": Field("set", lambda v, _: v.facts.customer_tags),
    "automatic": _one("flag", lambda v: "true" if v.interaction.automatic else "false"),
    "automatic_class": _one("word", _of("email", "automatic_class")),
    "flags": Field("set", lambda v, _: v.interaction.flags),
    "occasion": _one("word", attrgetter("interaction.occasion"), values=get_args(Occasion)),
    "conversation_state": _one("word", attrgetter("facts.conversation_state"), values=get_args(ConversationState)),
    "seq": _one("number", lambda v: str(v.interaction.seq)),
    "open_items": _one("number", lambda v: str(v.facts.open_items)),
    "contacts": Field("number", _contacts, named=True),
    "last_agent": _one("word", attrgetter("facts.last_agent")),
    "age": _one("span", lambda v: str(int((v.now - v.interaction.received_at).total_seconds()))),
    "weekday": Field("word", lambda v, _: (DAYS[v.local.weekday()],), values=DAYS, changes=True),
    "time": Field("clock", lambda v, _: (f"{v.local:%H:%M}",), changes=True),
    "holiday": Field(
        "flag", lambda v, _: ("true" if v.calendar.is_holiday(v.local.date()) else "false",), changes=True
    ),
    "business_hours": Field(
        "hours", lambda v, _: ("open",) if v.is_open() else ("closed",), values=("open", "closed"), changes=True
    ),
    "queue": Field("word", lambda v, _: (v.so_far.queue,), changes=True),
    "tier": Field("word", lambda v, _: (v.so_far.tier,), values=TIERS, changes=True),
    "tags": Field("set", lambda v, _: tuple(v.so_far.tags), changes=True),
}
"""`message` is subject or text: a condition on it holds if it holds for one of the two."""
