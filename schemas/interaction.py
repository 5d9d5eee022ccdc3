"""One inbound contact: first as an edge knows it (`Contact`), then as it was accepted (`Interaction`)."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from schemas import limits
from schemas.base import Instant, Model
from schemas.text import Line, Text

Channel = Literal["email", "chat", "web_form", "phone_log"]
CHANNELS: tuple[Channel, ...] = ("email", "chat", "web_form", "phone_log")

Verdict = Literal["verified", "failed", "unknown"]
"""How sure we are of the sender: see RFC 8601 for mail; a signed session is verified for chat."""

Occasion = Literal["first", "follow_up", "reopened"]
"""Where an interaction stands in its conversation when it is accepted."""


class Sender(Model):
    """Who wrote, by the address that the channel proves or claims."""

    kind: Literal["email", "phone", "session", "anonymous"]
    address: Line = Field(default="", max_length=limits.ADDRESS_CHARS)
    """Normalised: lower-case mail address, E.164 number, chat session id; empty when unknown."""
    name: Line = Field(default="", max_length=limits.NAME_CHARS)
    verdict: Verdict = "unknown"


class Attachment(Model):
    """A file that came along. The bytes stay in the raw payload or the blob store."""

    name: Line = Field(default="", max_length=limits.NAME_CHARS)
    media_type: Line = "application/octet-stream"
    size: int = Field(default=0, ge=0)
    sha256: str = ""
    content_id: Line | None = None
    dataref: str | None = None


class EmailBounce(Model):
    """What a bounce reports of a mail that we sent."""

    kind: Literal["hard", "soft", "delayed"]
    status: Line | None = None
    """RFC 3463, such as 5.1.1."""
    recipients: tuple[Line, ...] = ()
    about_message_id: Line | None = None
    about_conversation: Line | None = None
    """The conversation that the return path names which it came to. A claim, until `about_prefix` proves it."""
    about_prefix: Line | None = None
    """How the Message-IDs of our mails with that return path begin, if it is genuine: both carry one signature."""


class EmailComplaint(Model):
    """What a feedback report says of a mail that we sent (RFC 5965)."""

    kind: Line = ""
    """The Feedback-Type, such as abuse."""
    recipients: tuple[Line, ...] = ()
    about_message_id: Line | None = None


class EmailContent(Model):
    channel: Literal["email"] = "email"
    message_id: Line = ""
    in_reply_to: tuple[Line, ...] = ()
    references: tuple[Line, ...] = Field(default=(), max_length=limits.MAIL_REFERENCES)
    headers: tuple[tuple[Line, Line], ...] = Field(default=(), max_length=limits.MAIL_HEADERS)
    """Decoded header fields in their order, names as written."""
    envelope_from: Line | None = None
    """The SMTP return path: empty for a bounce, None when the door did not see it."""
    to: tuple[Line, ...] = ()
    cc: tuple[Line, ...] = ()
    reply_to: tuple[Line, ...] = ()
    delivered_to: tuple[Line, ...] = ()
    keys: tuple[Line, ...] = ()
    """What others may know this mail by: its Message-ID and other ids of it in the form that is the same wherever it is
    mentioned, and its Outlook thread."""
    refers_to: tuple[Line, ...] = ()
    """The keys of the mails that it refers to, the nearest first."""
    token_of: Line | None = None
    """The conversation that a reply token of ours names, made for this very sender."""
    new_text: Text | None = None
    """`text` without quoted history and signature, where that is less."""
    forwarded_from: Line = ""
    """The address whose mail was forwarded, as the forwarder's program wrote it: a hint, never proof."""
    automatic_class: Line = ""
    """"" for what a person wrote; else bounce, delivery_report, auto_reply, list, bulk, receipt, feedback_report,
    notification, challenge or own."""
    bounce: EmailBounce | None = None
    complaint: EmailComplaint | None = None


class ChatContent(Model):
    channel: Literal["chat"] = "chat"
    session_id: Line
    client_message_id: Line
    page: Line = ""
    """The address of the page that the visitor writes from."""


class WebFormContent(Model):
    channel: Literal["web_form"] = "web_form"
    form: Line
    fields: dict[str, Text] = Field(default_factory=dict, max_length=limits.FORM_FIELDS)


class PhoneLogContent(Model):
    channel: Literal["phone_log"] = "phone_log"
    call_id: Line
    caller: Line = ""
    callee: Line = ""
    direction: Literal["inbound", "outbound"] = "inbound"
    disposition: Line = ""
    """In vCon words: no-answer, busy, failed, hung-up, voicemail-no-message, answered."""
    duration_s: int = Field(default=0, ge=0)
    notes: Text = ""


Content = Annotated[EmailContent | ChatContent | WebFormContent | PhoneLogContent, Field(discriminator="channel")]


class Contact(Model):
    """What an edge knows of one contact before it is accepted. `parse` functions return this."""

    account: Line = Field(min_length=1, max_length=128)
    native_id: Line = Field(min_length=1, max_length=1024)
    """The channel's own id: Message-ID (else a digest), session + client message id, idempotency key, call id."""
    received_at: Instant
    """From the edge's clock (INTERNALDATE, SMTP, HTTP, socket, the call's time), never from a Date header."""
    sender: Sender
    subject: Line = ""
    text: Text = ""
    language: str | None = None
    queue: str | None = None
    """The account's queue, for what no rule places."""
    automatic: str | None = None
    """Why this counts as automatic mail (RFC 3834), or None: automatic mail is never answered by machine."""
    archived: bool = False
    """Back-fill, import or first sync: recorded, never answered."""
    flags: tuple[str, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    attributes: dict[str, Text] = Field(default_factory=dict)
    content: Content

    @property
    def channel(self) -> Channel:
        return self.content.channel


class RawPayload(Model):
    """Where the bytes as received are kept."""

    media_type: str
    size: int
    sha256: str
    dataref: str | None = None
    """`blob:sha256/<hex>` when larger than the inline limit; None when the bytes stand in the store's row."""


class Interaction(Contact):
    """An accepted contact: it has an id, a place in a conversation, and a policy that will decide on it."""

    TYPE: ClassVar[str] = "switchboard.interaction.received.v1"

    id: str
    conversation_id: str
    reference: str
    """What the customer sees, such as SB-1042."""
    seq: int = Field(ge=1)
    """Dense within the conversation, given at acceptance: the order that holds everywhere."""
    round: int = Field(default=1, ge=1)
    """Raised each time a held item is released or a dead letter replayed: a new decision is due."""
    occasion: Occasion = "first"
    accepted_at: Instant
    customer_id: str
    policy_version: str
    digest: str
    raw: RawPayload | None = None
    released: tuple[str, ...] = ()
    """The rules whose holds a person has released, in all rounds so far: decisions are made without them."""
    released_from: str | None = None
    """The last of `released`, from when only that was kept. Read, never written."""
    traceparent: str | None = None

    @property
    def without_holds_of(self) -> tuple[str, ...]:
        """The rules whose holds do not count, whenever it was released."""
        return self.released if self.released_from is None else (*self.released, self.released_from)
