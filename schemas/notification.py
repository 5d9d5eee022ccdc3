"""An event for whoever listens: carried out outside the router."""

from typing import Any, ClassVar

from pydantic import Field

from schemas.base import Instant, Model


class Notification(Model):
    TYPE: ClassVar[str] = "switchboard.notification.raised.v1"

    id: str
    conversation_id: str
    kind: str
    subject: str = ""
    data: dict[str, Any] = Field(default_factory=dict)
    at: Instant
    traceparent: str | None = None
