"""One outbound message to a customer."""

from typing import ClassVar, Literal

from pydantic import Field

from schemas.base import Instant, Model
from schemas.interaction import Attachment, Channel, Sender
from schemas.text import Line, Text


class Author(Model):
    kind: Literal["rule", "agent"]
    name: str


class Thread(Model):
    """What a mail client needs to show the reply in its thread (RFC 5322 §3.6.4). Ids without brackets."""

    in_reply_to: Line = ""
    references: tuple[Line, ...] = ()
    subject: Line = ""


class Reply(Model):
    """A reply that was requested. Its id is unique for ever: the delivery ledger sends it at most once."""

    TYPE: ClassVar[str] = "switchboard.reply.requested.v1"

    id: str
    conversation_id: str
    reference: str
    channel: Channel
    account: str
    recipient: Sender
    author: Author
    subject: Line = ""
    text: Text
    html: str | None = None
    cc: tuple[Line, ...] = ()
    """Further addresses that get the same mail. Each has a delivery of its own."""
    files: tuple[Attachment, ...] = ()
    """What goes with it, each with its `dataref`; with a `content_id` it is an image that stands in the text."""
    automatic: bool
    """Made by machine: RFC 3834 headers, null return path."""
    acknowledgement: bool = False
    """The interactions that it answers stay queued whatever becomes of it."""
    answers: tuple[str, ...] = ()
    """Ids of the interactions that this answers."""
    answers_through: int = Field(default=0, ge=0)
    """The highest seq that the author had seen."""
    thread: Thread = Thread()
    session_id: str | None = None
    """Chat: the session whose socket gets it."""
    language: str | None = None
    created_at: Instant
    not_before: Instant | None = None
    """Until then the reply can be withdrawn."""
    traceparent: str | None = None
