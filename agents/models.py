"""What the desk's API takes and gives."""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field
from pydantic.networks import validate_email

from schemas.addresses import wire_address
from schemas.base import Instant, Model
from schemas.reply import Reply
from schemas.states import DeliveryState
from schemas.text import Line as TextLine
from schemas.text import clean_line, clean_text
from schemas.work_item import WorkItem
from store.desk import Disposition

DOTTED = re.compile(r"(?=\.|.*\.(?:\.|$))[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}")
MAX_INT = 2**53 - 1
"""What JSON numbers carry everywhere, and what a database column takes."""


def _words(value: Any) -> Any:
    return clean_text(value).strip() if isinstance(value, str) else value


Words = Annotated[str, BeforeValidator(_words)]
"""What goes to a customer: cleaned, and more than blanks."""
Key = TextLine


def address(value: str) -> str:
    """A mail address, in lower case, its domain as mails have it (`xn--…`), for comparing. Raises ValueError."""
    line = clean_line(value).strip()
    local, at, domain = line.rpartition("@")
    if DOTTED.fullmatch(local):  # a..b@docomo.ne.jp: mail goes there, though standards have no such address
        return wire_address(local.lower() + at + validate_email(f"x@{domain}")[1].rpartition("@")[2].lower())
    return wire_address(validate_email(line)[1].lower())


class Me(Model):
    """The agent that the token belongs to."""

    name: str
    display_name: str
    queues: tuple[str, ...] = Field(description="Queues that this agent serves; empty = all.")
    lease_s: float
    heartbeat_s: float
    now: Instant = Field(description="The server's time, by which its deadlines are meant.")


class Message(Model):
    """What the customer wrote."""

    id: str
    seq: int
    at: Instant
    sender: str
    sender_name: str
    verdict: str = Field(description="verified, failed or unknown: how sure we are of the sender.")
    subject: str
    text: str
    state: str
    flags: tuple[str, ...] = ()
    automatic: str = Field(default="", description="What a machine wrote: receipt, auto_reply, bounce, …")
    is_note: bool = Field(default=False, description="An agent's mail to the conversation; the customer has no copy.")
    attachments: tuple[str, ...] = ()
    why: tuple[str, ...] = Field(default=(), description="The decision, in words.")


class Outcome(Model):
    """What became of an answer, for one recipient. To be read as "`words` at `at`: `why`"."""

    recipient: str
    state: DeliveryState
    words: str = Field(description="What people call the state, such as: will be tried again.")
    at: Instant | None = Field(default=None, description="When: since then, or the next attempt.")
    why: str = Field(default="", description="Why it is so, in plain words.")
    said: str = Field(default="", description="Where an attempt ended, and what the mail server said.")


class Answer(Model):
    """What was answered, and what became of it."""

    id: str
    at: Instant
    author: str
    automatic: bool
    text: str
    delivery: str = Field(default="", description="What became of it, in plain words and in one line.")
    outcomes: tuple[Outcome, ...] = Field(default=(), description="The same for each recipient, the customer first.")
    cc: tuple[str, ...] = Field(default=(), description="Who gets it as well.")
    files: tuple[str, ...] = ()
    undo_until: Instant | None = Field(default=None, description="Until then its author can withdraw it.")


class Item(Model):
    """A work item with its conversation."""

    item: WorkItem
    messages: tuple[Message, ...]
    answers: tuple[Answer, ...]
    linked_to: str | None = Field(default=None, description="A conversation that this one refers to.")
    highest_seq: int


class Unsent(Model):
    """A mail of this agent that has not gone yet."""

    id: str
    conversation_id: str
    reference: str
    undo_until: Instant = Field(description="Until then it can be withdrawn.")


class Line(Model):
    """Work that waits, in the order in which it is handed out; what this agent holds, and can withdraw."""

    waiting: tuple[WorkItem, ...]
    mine: tuple[WorkItem, ...]
    unsent: tuple[Unsent, ...] = ()


class Hold(Model):
    """Proof of ownership: the epoch under which the item was accepted."""

    epoch: int = Field(ge=0, le=MAX_INT)


class Uploaded(Model):
    """A file that waits for its answer."""

    id: str = Field(
        description="Names it in an answer; good for `desk.uploads_kept`, and for the agent who brought it."
    )
    name: str
    media_type: str
    size: int


class GivenBack(Uploaded):
    """A file of a mail that was withdrawn, as another answer can name it."""

    inline: bool


class Withdrawn(Model):
    """All that the mail had: it can be written anew from this."""

    conversation_id: str
    reference: str
    text: str
    cc: tuple[str, ...]
    files: tuple[GivenBack, ...]


class FileOf(Model):
    """A file of an answer."""

    id: str = Field(min_length=1, max_length=4000, description="As it was given when the file was uploaded.")
    inline: bool = Field(default=False, description="An image that stands in the text.")


class Enclosed(Model):
    """What goes with an answer besides its words. Mails only."""

    cc: tuple[Annotated[str, AfterValidator(address)], ...] = Field(default=(), description="Who gets it as well.")
    files: tuple[FileOf, ...] = ()


class ReplyRequest(Hold, Enclosed):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"epoch": 1, "key": "0b3a5f6e9d", "text": "Your parcel left today.", "answers_through": 2}]
        }
    )

    key: Key = Field(min_length=8, max_length=100, description="Made by the client: the same key gives one reply.")
    text: Words = Field(min_length=1, max_length=64_000)
    answers_through: int = Field(ge=0, le=MAX_INT, description="The highest seq that the agent has seen.")


class Settle(Model):
    """A person's word on a delivery whose outcome is unknown."""

    sent: bool = Field(description="true: it did arrive; false: send it again.")
    recipient: TextLine | None = Field(
        default=None, max_length=1000, description="For whom; needed where the outcome is unknown for several."
    )


class CompleteRequest(Hold, Enclosed):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"epoch": 1, "answers_through": 2, "key": "0b3a5f6e9d", "text": "Your parcel left today."},
                {"epoch": 1, "answers_through": 2, "disposition": "spam"},
            ]
        }
    )

    answers_through: int = Field(ge=0, le=MAX_INT, description="The highest seq that the agent has seen.")
    disposition: Disposition = Field(
        default="no_answer_needed", description="Why what is left is closed without an answer."
    )
    key: Key | None = Field(default=None, min_length=8, max_length=100)
    text: Words | None = Field(default=None, min_length=1, max_length=64_000)


class Completed(Model):
    item: WorkItem
    reply: Reply | None = None
