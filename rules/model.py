"""Policy as data: what people wrote, checked for form, before it is compiled.

Everything that decides lies in one `PolicySource`. Its version is a hash over that content, so that two processes
with the same version decide alike; where a line stands in a file is kept for messages, outside of the hash.
"""

import hashlib
from datetime import UTC, timedelta, tzinfo
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import orjson
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StrictBool,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from schemas.base import Config
from schemas.decision import CloseReason, Tier
from schemas.durations import Duration
from schemas.errors import ConfigError
from schemas.interaction import Channel, Occasion, Verdict
from schemas.text import skill

Operator = Literal[
    "contains", "contains_all", "starts_with", "ends_with", "equals", "in", "regex", "exists", "domain", "cidr",
    "less_than", "at_most", "more_than", "at_least", "between",
]  # fmt: skip

LISTS: tuple[Operator, ...] = (
    "contains",
    "contains_all",
    "starts_with",
    "ends_with",
    "in",
    "domain",
    "cidr",
    "between",
)
"""Operators that take one value or several; the others take one."""


def _positive(value: timedelta) -> timedelta:
    if value <= timedelta():
        raise ValueError("must be longer than 0s")
    return value


def _whole(value: Any) -> Any:
    if isinstance(value, bool | str):
        raise ValueError("has to be a whole number, without quotes")
    return value


def _many(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Span = Annotated[Duration, AfterValidator(_positive)]
"""A duration longer than zero."""

Words = Annotated[tuple[str, ...], BeforeValidator(_many)]
"""A list of texts; one text may be written without the brackets."""

Skills = Annotated[Words, AfterValidator(lambda written: tuple(dict.fromkeys(map(skill, written))))]


class Leaf(Config):
    """One comparison. `name` is the header, attribute or form field that it looks at, where the field has names."""

    field: str
    name: str = ""
    operator: Operator
    value: bool | str | tuple[str, ...]
    match: Literal["word", "part"] = "word"
    path: str = "when"
    line: int = 0

    @property
    def texts(self) -> tuple[str, ...]:
        """What it compares with, one or several; `true` or `false` for a flag."""
        if isinstance(self.value, tuple):
            return self.value
        return (self.value,) if isinstance(self.value, str) else ("true" if self.value else "false",)


class All(Config):
    """Every part holds. Without parts: always."""

    all: tuple["Condition", ...]
    path: str = "when"


class AnyOf(Config):
    """At least one part holds."""

    any: tuple["Condition", ...]
    path: str = "when"


class Not(Config):
    """The part does not hold."""

    negated: "Condition"
    path: str = "when"


class Expression(Config):
    """A CEL expression that has to give true."""

    cel: str
    path: str = "when"
    line: int = 0


Condition = Leaf | All | AnyOf | Not | Expression


class Rule(Config):
    """One rule. Lower `order` first, then the name; the first rule that writes a value wins."""

    name: str = Field(min_length=1, max_length=128)
    order: Annotated[int, BeforeValidator(_whole)] = 100
    when: Condition | None = None
    """None: always."""
    on: tuple[Occasion, ...] = ("first", "follow_up", "reopened")
    answer: str | None = None
    """The name of a template. Without a queue set by any rule the answer is final."""
    queue: str | None = None
    tier: Tier | None = None
    target: Span | None = None
    tags: Words = ()
    skills: Skills = ()
    set: dict[str, str] = Field(default_factory=dict)
    """Attributes to write."""
    affinity: StrictBool | None = None
    """Whether the agent of before should have it again."""
    notify: Words = ()
    """Who is told of it, by an event on `notifications`."""
    webhook: Words = ()
    """Which webhooks are called, by an event on `notifications`."""
    hold: str | None = Field(default=None, min_length=1)
    """Why a person has to look first, such as `spam`."""
    close: CloseReason | None = None
    stop: StrictBool = False
    file: str = ""
    line: int = 0
    lines: dict[str, int] = Field(default_factory=dict)


class TemplateText(Config):
    """One language of a template, as written."""

    subject: str = ""
    text: str
    html: str | None = None
    file: str = ""


class BusinessHours(Config):
    """A calendar: `hours` maps days (`mon-fri`, `sat`, `mon,wed`) to spans of local time."""

    timezone: str
    holidays: tuple[str, ...] = ()
    """Country, or country and region (`DE-BE`), or a date of one's own (`2026-12-24`)."""
    hours: dict[str, Words]


def _begun(value: Any, info: ValidationInfo) -> Any:
    """Refuse what a person began and did not fill in. (As JSON, a policy names all there is.)"""
    each = value if isinstance(value, list | tuple) else [value]
    if info.mode == "python" and (not each or any(one in (None, "", {}) for one in each)):
        raise ValueError("is empty: name what it asks for, or leave it out")
    return value


_Begun = BeforeValidator(_begun)


class TableCondition(Config):
    """What one row of the priority table asks for; each list means any of. Texts are compared as those of rules are."""

    customer_tier: Annotated[Words, _Begun] = ()
    agreement: Annotated[Words, _Begun] = ()
    segment: Annotated[Words, _Begun] = ()
    channel: Annotated[tuple[Channel, ...], BeforeValidator(_many), _Begun] = ()
    language: Annotated[Words, _Begun] = ()
    verdict: Annotated[tuple[Verdict, ...], BeforeValidator(_many), _Begun] = ()
    tags: Annotated[Words, _Begun] = ()
    urgent: Annotated[bool | None, _Begun] = None
    """Whether the customer used a word of urgency."""


class TableRow(Config):
    """A row of the priority table. The first that fits decides; the last has no `when`."""

    when: Annotated[TableCondition | None, _Begun] = None
    tier: Tier


_Factor = Annotated[float, Field(gt=0, le=1)]
NUDGE = 0.75
"""Words of anger are a hint, no more: they never take more than a quarter of the target."""


class Modifiers(Config):
    """Bounded factors on the target. `floor` is the smallest share of the target that they may leave together."""

    repeat_contact: _Factor = 1.0
    """A new or reopened matter within seven days of the customer's last contact."""
    waiting: _Factor = 1.0
    """A further message in a conversation that waits for an agent."""
    vip: _Factor = 1.0
    """A customer with the tag `vip`."""
    urgent: _Factor = 1.0
    """A word of urgency in the customer's language."""
    sentiment: float = Field(default=1.0, ge=NUDGE, le=1)
    """Three words of anger more than of thanks; fewer take less."""
    floor: float = Field(default=0.25, gt=0, le=1)


DEFAULT_TARGETS: dict[str, dict[str, str]] = {
    "chat": {"P1": "30s", "P2": "1m", "P3": "2m", "P4": "5m"},
    "phone_log": {"P1": "15m", "P2": "1h", "P3": "4h", "P4": "8h"},
    "web_form": {"P1": "1h", "P2": "4h", "P3": "8h", "P4": "24h"},
    "email": {"P1": "1h", "P2": "4h", "P3": "8h", "P4": "24h"},
}
"""First response. A channel that the policy does not name keeps these."""


def _with_default_targets(value: Any) -> Any:
    return {**DEFAULT_TARGETS, **value} if isinstance(value, dict) else value


class Agreement(Config):
    """What was agreed with some customers: targets instead of the ordinary ones, where it names any."""

    targets: dict[Channel, dict[Tier, Span]] = Field(default_factory=dict)


class PriorityTable(Config):
    """Signals choose the tier, the tier and the channel choose the target; time does the ranking."""

    targets: Annotated[dict[Channel, dict[Tier, Span]], BeforeValidator(_with_default_targets)] = Field(
        default_factory=dict, validate_default=True
    )
    table: tuple[TableRow, ...] = (TableRow(tier="P3"),)
    modifiers: Modifiers = Modifiers()
    agreements: dict[str, Agreement] = Field(default_factory=dict)
    urgent_words: dict[str, Words] = Field(default_factory=dict)
    """language → words instead of the built-in ones."""


class Queue(Config):
    """Where work waits for agents."""

    business_hours: str | None = None
    """A calendar's name. Without it `default` holds, if there is one; else the queue is always open."""
    skills: dict[Annotated[str, AfterValidator(skill)], Annotated[int, Field(ge=1, le=10)]] = Field(
        default_factory=dict
    )
    overflow_to: str | None = None
    overflow_after: Span | None = None

    @model_validator(mode="after")
    def _both_or_none(self) -> "Queue":
        if (self.overflow_to is None) != (self.overflow_after is None):
            raise ValueError("overflow_to and overflow_after need each other")
        return self


class AutoAnswer(Config):
    """The bounds on answers made by machine (RFC 3834)."""

    per_sender_per_day: int = Field(default=10, ge=0)
    per_domain_per_hour: int = Field(default=30, ge=0)
    unknown: Literal["fixed", "never"] = "fixed"
    """To senders of whom nothing is proved: fixed text only, or nothing."""
    max_age: Span = timedelta(hours=24)


def _with_number(value: str) -> str:
    rest = value.replace("{number}", "", 1)
    if rest == value or "{" in rest or "}" in rest:
        raise ValueError('must hold {number} once and no other braces, such as "SB-{number}"')
    return value


class Conversations(Config):
    reopen_within: Span = timedelta(days=14)
    reference: Annotated[str, AfterValidator(_with_number)] = "SB-{number}"


DEFAULT_CALENDAR = "default"


class PolicySource(Config):
    """One whole policy. `to_json` and `from_json` carry it between processes without loss."""

    company: str = ""
    """What templates call you."""
    rules: tuple[Rule, ...] = ()
    templates: dict[str, dict[str, TemplateText]] = Field(default_factory=dict)
    """name → language → text; language `""` is the text to fall back to."""
    business_hours: dict[str, BusinessHours] = Field(default_factory=dict)
    priority: PriorityTable = PriorityTable()
    queues: dict[str, Queue] = Field(default_factory=lambda: {"general": Queue()})
    default_queue: str = "general"
    auto_answer: AutoAnswer = AutoAnswer()
    conversations: Conversations = Conversations()
    places: dict[str, str] = Field(default_factory=dict)
    """Where a section stands (`queues.support` → `switchboard.yaml:31`), for messages."""

    @property
    def version(self) -> str:
        """`p-` and 12 hex digits of SHA-256 over everything that decides."""
        data = self.without_rules()
        # Rules run by (order, name), so neither their order in the file nor the file's name decides anything.
        data["rules"] = [rule_content(rule) for rule in sorted(self.rules, key=lambda r: (r.order, r.name))]
        return "p-" + hashlib.sha256(orjson.dumps(data, option=orjson.OPT_SORT_KEYS)).hexdigest()[:12]

    def zone_of(self, queue: str | None) -> tzinfo:
        """The time zone of the queue's business hours."""
        own = self.queues[queue].business_hours if queue in self.queues else None
        hours = self.business_hours.get(own or DEFAULT_CALENDAR)
        return ZoneInfo(hours.timezone) if hours is not None else UTC

    def without_rules(self) -> dict[str, Any]:
        """Everything that decides, but for the rules."""
        data = self.model_dump(mode="json", exclude={"rules", "templates", "places"})
        _drop_unused(data["priority"], "agreements", "urgent_words")
        _drop_unused(data["priority"]["modifiers"], "waiting", "vip", "urgent", "sentiment", unused=1.0)
        for row in data["priority"]["table"]:
            _drop_unused(row["when"] or {}, "agreement", "segment", "urgent")
        data["templates"] = {
            name: {lang: text.model_dump(mode="json", exclude={"file"}) for lang, text in texts.items()}
            for name, texts in self.templates.items()
        }
        return data

    def to_json(self) -> bytes:
        return orjson.dumps(self.model_dump(mode="json"), option=orjson.OPT_SORT_KEYS)

    @staticmethod
    def from_json(data: bytes) -> "PolicySource":
        """Raises ConfigError when the bytes are no policy that this version understands."""
        try:
            return PolicySource.model_validate_json(data)
        except ValidationError as error:
            problems = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_url=False)]
            raise ConfigError(problems, hint="publish the policy again with this version") from error


def _drop_unused(data: dict[str, Any], *names: str, unused: Any = None) -> None:
    """What is not used does not count, so that a policy keeps its version when the language grows."""
    for name in names:
        if data.get(name) in (unused, [], {}):
            data.pop(name, None)


def rule_content(rule: Rule) -> dict[str, Any]:
    """What a rule says, without where it stands."""
    data = rule.model_dump(mode="json", exclude={"when", "file", "line", "lines"})
    # What is not used does not count, so that a policy keeps its version when the language grows.
    data = {key: value for key, value in data.items() if value or key not in ("affinity", "notify", "webhook")}
    if rule.affinity is False:
        data["affinity"] = False
    data["when"] = _condition_content(rule.when) if rule.when is not None else None
    return data


def _condition_content(condition: Condition) -> dict[str, Any]:
    match condition:
        case Leaf():
            return condition.model_dump(mode="json", exclude={"path", "line"})
        case All(all=parts):
            return {"all": [_condition_content(part) for part in parts]}
        case AnyOf(any=parts):
            return {"any": [_condition_content(part) for part in parts]}
        case Not(negated=part):
            return {"not": _condition_content(part)}
        case Expression(cel=cel):
            return {"cel": cel}
