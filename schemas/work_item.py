"""A conversation that waits for, or is with, an agent."""

from typing import ClassVar

from schemas.base import Instant, Model
from schemas.decision import Tier
from schemas.interaction import Channel
from schemas.states import WorkItemState


class WorkItem(Model):
    """The state of a work item after a change. Event id: `<work item id>:change:<version>`."""

    TYPE: ClassVar[str] = "switchboard.work_item.changed.v1"

    id: str
    version: int
    conversation_id: str
    reference: str
    channel: Channel
    account: str
    customer_id: str
    subject: str = ""
    queue: str
    tier: Tier
    deadline: Instant
    enqueued_at: Instant
    """Kept when the item is queued again, so that nobody goes to the back of the line."""
    state: WorkItemState
    agent: str | None = None
    epoch: int = 0
    """Raised with every new owner: a write with an older epoch is refused."""
    leased_until: Instant | None = None
    skills: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    reason: str = ""
    """Why a human is needed: the rule, a failed delivery, a refused auto-answer."""
    at: Instant
    traceparent: str | None = None

    @property
    def event_id(self) -> str:
        return f"{self.id}:change:{self.version}"
