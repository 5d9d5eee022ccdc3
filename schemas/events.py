"""The closed set of event types that flow through Kafka."""

from schemas.dead_letter import DeadLetter
from schemas.decision import Decision
from schemas.delivery import Delivery
from schemas.interaction import Interaction
from schemas.notification import Notification
from schemas.reply import Reply
from schemas.work_item import WorkItem

Event = Interaction | Decision | Reply | WorkItem | Delivery | DeadLetter | Notification

EVENTS: dict[str, type[Event]] = {
    event.TYPE: event for event in (Interaction, Decision, Reply, WorkItem, Delivery, DeadLetter, Notification)
}
"""CloudEvents type → model. The version is part of the type."""


def event_id(event: Event) -> str:
    """Unique per event: what consumers recognise repeats by."""
    if isinstance(event, WorkItem):
        return event.event_id
    if isinstance(event, Interaction):
        return event.id if event.round == 1 else f"{event.id}:round:{event.round}"
    return event.id


def event_key(event: Event) -> str:
    """The Kafka key of every topic: the conversation."""
    return event.conversation_id


TOPIC_OF: dict[str, str] = {
    Interaction.TYPE: "interactions",
    Decision.TYPE: "decisions",
    Reply.TYPE: "replies",
    Delivery.TYPE: "deliveries",
    WorkItem.TYPE: "work-items",
    Notification.TYPE: "notifications",
    DeadLetter.TYPE: "dead-letters",
}
"""CloudEvents type → the topic that carries it."""
