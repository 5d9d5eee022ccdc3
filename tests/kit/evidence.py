"""What is there after a run, as plain data: the store's tables, the topics, the committed offsets, the history."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.kit.history import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    interaction_id: str
    channel: str
    copies: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Interaction:
    """`contact`: the id that the customer gave it. `seq`: None for bytes that gave no interaction."""

    id: str
    contact: str
    channel: str
    conversation: str
    seq: int | None
    state: str
    reason: str = ""
    round: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    id: str
    conversation: str
    automatic: bool = False
    acknowledgement: bool = False
    answers: Sequence[str] = ()
    through: int = 0
    """The highest seq that its author had seen."""
    created_at: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    reply_id: str
    recipient: str
    channel: str
    state: str
    provider_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One change of a delivery, as published."""

    reply_id: str
    recipient: str
    change: int
    state: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkItemChange:
    """One change of a work item, as published."""

    id: str
    conversation: str
    version: int
    epoch: int
    state: str
    agent: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxRow:
    event_id: str
    topic: str
    key: str
    position: int
    done: bool
    incarnation: str | None = None
    partition: int | None = None
    offset: int | None = None


@dataclass(kw_only=True)
class StoreDump:
    acceptances: Sequence[Acceptance] = ()
    interactions: Sequence[Interaction] = ()
    last_seq: Mapping[str, int] = field(default_factory=dict)
    replies: Sequence[Reply] = ()
    deliveries: Sequence[Delivery] = ()
    reports: Sequence[Report] = ()
    work_items: Sequence[WorkItemChange] = ()
    """Every change, of all items."""
    outbox: Sequence[OutboxRow] = ()
    decided: frozenset[str] = frozenset()
    """Ids of decisions."""
    dead_letters: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Seen:
    """One record of a topic. `id` is the event's."""

    partition: int
    offset: int
    key: str
    id: str


@dataclass(kw_only=True)
class Evidence:
    """`topics`: by topic, what is readable from the earliest record on. `committed`: (group, topic, partition) → the
    offset that the group would read next."""

    history: Sequence[Event] = ()
    store: StoreDump = field(default_factory=StoreDump)
    topics: Mapping[str, Sequence[Seen]] = field(default_factory=dict)
    committed: Mapping[tuple[str, str, int], int] = field(default_factory=dict)


@dataclass(kw_only=True)
class Contact:
    """What a customer knows of one contact of theirs. `expect`: answer, closed, held or call."""

    id: str
    who: str
    channel: str
    thread: str
    expect: str
    begun: float
    attempts: int = 0
    oks: int = 0
    accepted: float | None = None
    """When the first `ok` came."""
    told_seq: int | None = None


def contacts_of(history: Sequence[Event]) -> dict[str, Contact]:
    """Contact id → what was done about it."""
    found: dict[str, Contact] = {}
    for event in history:
        if event.op != "write":
            continue
        if event.kind == "invoke":
            contact = found.get(event.id)
            if contact is None:
                contact = found[event.id] = Contact(
                    id=event.id,
                    who=event.who,
                    channel=event.more["channel"],
                    thread=event.more["thread"],
                    expect=event.more["expect"],
                    begun=event.at,
                )
            contact.attempts += 1
        elif event.kind == "ok":
            contact = found[event.id]
            contact.oks += 1
            contact.accepted = event.at if contact.accepted is None else contact.accepted
            contact.told_seq = event.more.get("seq", contact.told_seq)
    return found
