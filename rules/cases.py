"""Behaviour cases as data: "given this interaction, expect this decision".

Text → cases, with every mistake and its line. What a case leaves out is pleasant: a mail of a person, on a Wednesday
morning. How a case is run: `switchboard rules test`.
"""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal, NamedTuple, get_args

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from rules.problems import NAMELESS, Problem, place_of
from rules.tree import YamlList, YamlMap, parse_items
from rules.typed import typed_problems
from schemas.base import Config
from schemas.decision import CloseReason, Facts, Outcome, Tier
from schemas.interaction import Channel, Contact, Occasion, Verdict

OPEN = datetime(2026, 3, 4, 10, 0, tzinfo=UTC)
"""When a case happens that names no moment: a Wednesday, 11:00 in Berlin."""
MOST_CHARS = 10_000_000
"""Of a text that `text_times` repeats."""

MOST_CONTACTS = 50
"""The newest of them are remembered."""


def moment(written: Any) -> datetime:
    """An ISO moment; without a zone it is UTC. Raises ValueError."""
    try:
        found = datetime.fromisoformat(written) if isinstance(written, str) else None
    except ValueError:
        found = None
    if found is None:
        raise ValueError(f"{written!r} is no moment (write 2026-03-04T10:00:00+01:00)")
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _text(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _texts(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_text(item) for item in value]
    return [_text(value)] if isinstance(value, str | int) else value


def _said(value: str) -> str:
    if not value.strip():
        raise ValueError("is empty")
    return value


Whole = Annotated[int, Field(strict=True)]
Truth = Annotated[bool, Field(strict=True)]
Text = Annotated[str, BeforeValidator(_text, json_schema_input_type=str | int)]
"""A text; a whole number stands for its digits."""
Name = Annotated[
    str,
    BeforeValidator(_text),
    AfterValidator(_said),
    Field(json_schema_extra={"type": ["string", "integer"], "pattern": r"\S"}),
]
"""A text that says something."""
Names = Annotated[tuple[Name, ...], BeforeValidator(_texts, json_schema_input_type=Name | list[Name])]
"""Texts that each say something; one may be written without the brackets."""
Moment = Annotated[
    datetime, BeforeValidator(moment, json_schema_input_type=Annotated[str, Field(pattern=r"^\d{4}-?\d{2}-?\d{2}")])
]


class File(Config):
    """A file that comes along."""

    name: Text = ""
    media_type: Name = "application/octet-stream"
    size: Whole = Field(default=0, ge=0)


class Given(Config):
    """What arrives. What it leaves out is that of a plain message of its channel."""

    channel: Channel = "email"
    account: Name = "support"
    received_at: Moment | None = None
    """None: the moment of the case."""
    subject: Text = ""
    text: Text = ""
    text_times: Whole = Field(default=1, ge=1, le=MOST_CHARS)
    """How often the text is repeated."""
    language: Name | None = None
    queue: Name | None = None
    """The account's queue."""
    automatic: Name | None = None
    """Why it counts as automatic mail."""
    archived: Truth = False
    flags: Names = ()
    attachments: tuple[File, ...] = ()
    attributes: dict[Name, Text] = Field(default_factory=dict)
    sender: Text | None = None
    """The address."""
    name: Text | None = None
    verdict: Verdict | None = None
    phone: Name | None = None
    headers: dict[Name, Text] = Field(default_factory=dict)
    to: Names = ("support@shop.example",)
    cc: Names = ()
    reply_to: Names = ()
    delivered_to: Names = ()
    envelope_from: Text | None = None
    new_text: Text | None = None
    automatic_class: Text = ""
    page: Text = ""
    form: dict[Name, Text] = Field(default_factory=dict)
    """The fields of a web form."""
    form_name: Name = "contact"
    called: Text = ""
    direction: Literal["inbound", "outbound"] = "inbound"
    disposition: Text = "no-answer"
    duration_s: Whole = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _fits_its_channel(self) -> "Given":
        for channel, names in ONLY.items():
            wrong = sorted(names & self.model_fields_set) if channel != self.channel else []
            if wrong:
                raise ValueError(f"{', '.join(wrong)} only with channel: {channel}")
        if len(self.text) * self.text_times > MOST_CHARS:
            raise ValueError(f"text is longer than {MOST_CHARS} characters")
        return self


ONLY: dict[Channel, frozenset[str]] = {
    "email": frozenset(
        ("headers", "to", "cc", "reply_to", "delivered_to", "envelope_from", "new_text", "automatic_class")
    ),
    "chat": frozenset(("page",)),
    "web_form": frozenset(("form", "form_name")),
    "phone_log": frozenset(("called", "direction", "disposition", "duration_s")),
}
"""What only one channel has."""


class KnownFacts(Facts, Config):
    """What is known besides, as people write it: `Facts`, and no other key. Contacts by one count are contacts by the
    other: where only `contacts_7d` is said, they were made today."""

    customer_tags: Names = ()
    contacts_7d: Annotated[Whole, Field(ge=0)] = 0
    contact_days: tuple[Annotated[Whole, Field(ge=0, lt=30)], ...] = ()
    open_items: Annotated[Whole, Field(ge=0)] = 0
    known: Truth = False

    @model_validator(mode="before")
    @classmethod
    def _both_counts(cls, written: Any) -> Any:
        if not isinstance(written, dict):
            return written
        week, days = written.get("contacts_7d"), written.get("contact_days")
        if days is None and type(week) is int and 0 < week <= MOST_CONTACTS:
            return {**written, "contact_days": [0] * week}
        if week is None and isinstance(days, list) and all(type(day) is int for day in days):
            return {**written, "contacts_7d": sum(day < 7 for day in days)}
        return written


class Accepted(Config):
    """What acceptance has added, where it is not that of a first message."""

    reference: Name = "SB-1042"
    seq: Whole = Field(default=1, ge=1)
    round: Whole = Field(default=1, ge=1)
    occasion: Occasion = "first"
    released: Names = ()
    """The rules whose holds a person has released."""


class Expect(Config):
    """What the decision has to be, where a key names it. `null`: nothing of the kind."""

    outcome: Outcome = "queue"
    answer: Name | None = None
    refused: Text = ""
    final: Truth = False
    queue: Name | None = None
    tier: Tier = "P3"
    tier_why: Text = ""
    target_s: Annotated[float, Field(strict=True)] = 0
    target_why: Text = ""
    deadline: Moment = OPEN
    tags: Names = ()
    skills: Names = ()
    attributes: dict[Name, Text] = Field(default_factory=dict)
    affinity: Truth | None = None
    notify: Names = ()
    webhook: Names = ()
    hold: Name | None = None
    close: CloseReason | None = None
    stopped_by: Name | None = None
    fired: Names = ()
    errors: Names = ()
    says: Names = ()
    """Words that the answer has to say, in its subject, text or HTML."""
    never_says: Names = ()

    @model_validator(mode="after")
    def _expects(self) -> "Expect":
        if not self.model_fields_set:
            raise ValueError("is empty: a case expects something, such as {queue: support}")
        return self


class Case(Config):
    """One behaviour case."""

    case: Name
    """What it shows, in a sentence."""
    at: Moment = OPEN
    given: Given = Given()
    accepted: Accepted = Accepted()
    facts: KnownFacts = KnownFacts()
    expect: Expect


class Placed(NamedTuple):
    """A case, and where it stands (`file:line`)."""

    place: str
    case: Case


def read_cases(text: str, file: str) -> tuple[list[Placed], list[Problem]]:
    """A file of cases, and every mistake in it."""
    tree, problems = parse_items(text, file)
    if tree is None:
        return [], problems
    if not isinstance(tree, YamlList):
        line = tree.line if isinstance(tree, YamlMap) else 1
        problem = Problem(place_of(file, line), "a file of cases holds a list of cases", "start each with '- case:'")
        return [], [*problems, problem]
    cases: list[Placed] = []
    for item, line in zip(tree, tree.lines, strict=True):
        if not isinstance(item, YamlMap):
            problems.append(Problem(place_of(file, line), "a case is a mapping", "such as '- case: a first mail'"))
            continue
        try:
            case = Case.model_validate(item)
        except ValidationError as error:
            problems += typed_problems(error, Case, item, file=file, line=line, label=_label(item))
            continue
        cases.append(Placed(place_of(file, line), case))
        try:
            contact_of(case.given, case.at)
        except ValidationError as error:
            found = error.errors(include_url=False)
            at = place_of(file, item.lines.get("given", line))
            problems += [Problem(at, f"{_label(item)}: given: {_path(one)}: {one['msg']}") for one in found]
    return cases, problems


def _label(tree: YamlMap) -> str:
    name = tree.get("case")
    return f"case {name}" if isinstance(name, str) and name.strip() else f"case {NAMELESS}"


def _path(error: ErrorDetails) -> str:
    return ".".join(map(str, error["loc"]))


def json_schema() -> dict[str, Any]:
    """The JSON Schema of files of cases (draft 2020-12), for editors that complete and check them."""
    case = Case.model_json_schema()
    definitions = case.pop("$defs")
    definitions["Expect"]["minProperties"] = 1
    for part in (case, *definitions.values()):
        for one in part.get("properties", {}).values():
            one.pop("title", None)
            one.pop("default", None)
            if "patternProperties" in one:
                one["additionalProperties"] = False
    own = sorted(set().union(*ONLY.values()))
    definitions["Given"]["allOf"] = [
        {
            "if": {
                "properties": {"channel": {"const": channel}},
                "required": [] if channel == "email" else ["channel"],
            },
            "then": {"properties": dict.fromkeys((name for name in own if name not in ONLY[channel]), False)},
        }
        for channel in get_args(Channel)
    ]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Switchboard behaviour cases",
        "type": "array",
        "items": case,
        "$defs": definitions,
    }


# What a contact is made of


_SENDERS: dict[Channel, dict[str, Any]] = {
    "email": {"kind": "email", "address": "ann@example.org", "name": "Ann"},
    "chat": {"kind": "session", "address": "case", "verdict": "verified"},
    "web_form": {"kind": "email", "address": "bob@example.org", "name": "Bob"},
    "phone_log": {"kind": "phone", "address": "+49301234567", "name": "Carl"},
}


def contact_of(given: Given, now: datetime) -> Contact:
    """What `given` describes. Raises ValidationError for what no contact can be (an address of 10,000 letters)."""
    written = {"address": given.phone or given.sender, "name": given.name, "verdict": given.verdict}
    sender = _SENDERS[given.channel] | {key: value for key, value in written.items() if value is not None}
    return Contact.model_validate(
        {
            "account": given.account,
            "native_id": "case",
            "received_at": given.received_at or now,
            "sender": sender,
            "subject": given.subject,
            "text": given.text * given.text_times,
            "language": given.language,
            "queue": given.queue,
            "automatic": given.automatic,
            "archived": given.archived,
            "flags": given.flags,
            "attachments": [file.model_dump() for file in given.attachments],
            "attributes": given.attributes,
            "content": {"channel": given.channel, **_content(given, sender["address"])},
        }
    )


def _content(given: Given, address: str) -> dict[str, Any]:
    match given.channel:
        case "email":
            own = {name: getattr(given, name) for name in ONLY["email"] if name != "headers"}
            return {"message_id": "case@example.org", "headers": list(given.headers.items()), **own}
        case "chat":
            return {"session_id": "case", "client_message_id": "1", "page": given.page}
        case "web_form":
            return {"form": given.form_name, "fields": given.form}
        case "phone_log":
            own = {name: getattr(given, name) for name in ("direction", "disposition", "duration_s")}
            return {"call_id": "case", "caller": address, "callee": given.called, **own}
