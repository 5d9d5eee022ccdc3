"""What the invariants look things up in, and what they give."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tests.kit.evidence import Contact, Evidence, Interaction, Reply, contacts_of
from tests.kit.history import Event


@dataclass(frozen=True, slots=True)
class Violation:
    """`invariant` as in the list above, `kind` in two words, the ids that it is about, and a sentence."""

    invariant: str
    kind: str
    ids: tuple[str, ...]
    sentence: str

    def __str__(self) -> str:
        return f"{self.invariant} {self.kind}: {self.sentence} [{', '.join(self.ids)}]"


@dataclass
class Facts:
    """The evidence with the look-ups that several invariants need."""

    evidence: Evidence
    contacts: dict[str, Contact] = field(init=False)
    by_contact: dict[str, list[Interaction]] = field(init=False)
    by_id: dict[str, Interaction] = field(init=False)
    replies: dict[str, Reply] = field(init=False)
    deliveries: dict[str, list[str]] = field(init=False)
    reply_of: dict[str, str] = field(init=False)
    """What a customer saw (a reply's id, or a mail's Message-ID) → reply id."""
    seen: dict[str, list[Event]] = field(init=False)
    """Customer → what was seen, in order."""
    positions: dict[tuple[str, str], int] = field(init=False)
    """(topic, event id) → place in its lane."""

    def __post_init__(self) -> None:
        store, history = self.evidence.store, self.evidence.history
        self.contacts = contacts_of(history)
        self.by_contact = defaultdict(list)
        for interaction in store.interactions:
            self.by_contact[interaction.contact].append(interaction)
        self.by_id = {i.id: i for i in store.interactions}
        self.replies = {r.id: r for r in store.replies}
        self.deliveries = defaultdict(list)
        self.reply_of = {r.id: r.id for r in store.replies}
        for delivery in store.deliveries:
            self.deliveries[delivery.reply_id].append(delivery.state)
            if delivery.provider_id:
                self.reply_of[delivery.provider_id] = delivery.reply_id
        self.seen = defaultdict(list)
        for event in history:
            if event.op == "see":
                self.seen[event.who].append(event)
        self.positions = {(row.topic, row.event_id): row.position for row in store.outbox}

    def interaction(self, contact: str) -> Interaction | None:
        found = self.by_contact.get(contact, [])
        return found[0] if found else None


Invariant = Callable[[Facts], Iterator[Violation]]
