"""What became of a reply: one event per change of its delivery's state."""

from typing import ClassVar

from pydantic import Field

from schemas.base import Instant, Model
from schemas.interaction import Channel
from schemas.states import DeliveryState


class Delivery(Model):
    """Id: `<reply id>:delivery:<change>`, where change counts the delivery's state changes from 1; that of a copy has
    its recipient, too."""

    TYPE: ClassVar[str] = "switchboard.delivery.reported.v1"

    id: str
    reply_id: str
    conversation_id: str
    channel: Channel
    account: str
    recipient: str
    state: DeliveryState
    attempt: int = Field(ge=0)
    change: int = Field(ge=1)
    at: Instant
    detail: str = ""
    """In words: what the server said, or why the outcome is unknown."""
    settled_by: str = ""
    """The person who said so, where the outcome had been unknown."""
    provider_id: str = ""
    """The id under which the channel knows the sent message: the Message-ID of a mail."""
    acknowledgement: bool = False
    answers: tuple[str, ...] = ()
    traceparent: str | None = None
