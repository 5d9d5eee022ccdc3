"""Chat frames: bytes → a typed frame, or what is wrong with it. Pure."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from channels.language import language_of
from schemas.base import Model
from schemas.codec import Invalid, loads_strict
from schemas.interaction import ChatContent, Contact, Sender
from schemas.limits import CHAT_FRAME_BYTES, CHAT_TEXT_CHARS
from schemas.text import Line, Text


class Hello(Model):
    type: Literal["hello"]
    session: str | None = Field(default=None, max_length=512)
    page: Line = Field(default="", max_length=2000)


class Message(Model):
    type: Literal["message"]
    id: Line = Field(min_length=1, max_length=100)
    text: Text = Field(min_length=1, max_length=CHAT_TEXT_CHARS)


class Ack(Model):
    type: Literal["ack"]
    id: Line = Field(min_length=1, max_length=300)


Frame = Hello | Message | Ack
_FRAME: TypeAdapter[Frame] = TypeAdapter(Annotated[Frame, Field(discriminator="type")])


@dataclass(frozen=True, slots=True)
class BadFrame:
    detail: str


def parse_frame(data: str | bytes) -> Frame | BadFrame:
    """Never raises."""
    raw = data.encode("utf-8", "replace") if isinstance(data, str) else data
    value = loads_strict(raw, limit=CHAT_FRAME_BYTES)
    if isinstance(value, Invalid):
        return BadFrame(value.detail)
    try:
        return _FRAME.validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        return BadFrame(f"{'.'.join(map(str, first['loc'])) or 'frame'}: {first['msg']}")


def contact_of(
    message: Message, *, account: str, session_id: str, page: str, queue: str | None, received_at: datetime
) -> Contact:
    """The contact that a message is. The signed session proves who it is from."""
    return Contact(
        account=account,
        native_id=f"{session_id}:{message.id}",
        received_at=received_at,
        queue=queue,
        sender=Sender(kind="session", address=session_id, verdict="verified"),
        text=message.text,
        language=language_of(message.text),
        content=ChatContent(session_id=session_id, client_message_id=message.id, page=page),
    )
