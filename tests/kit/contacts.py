"""Contacts to accept, with pleasant defaults."""

from datetime import UTC, datetime, timedelta
from typing import Any

from schemas.interaction import (
    ChatContent,
    Contact,
    EmailContent,
    PhoneLogContent,
    Sender,
    WebFormContent,
)
from store.intake import Arrival

NOW = datetime(2026, 3, 4, 10, 0, tzinfo=UTC)  # a Wednesday, 11:00 in Berlin
T1 = NOW + timedelta(minutes=1)


def email(
    message_id: str = "m1@example.org",
    *,
    sender: str = "ann@example.org",
    subject: str = "Where is my parcel?",
    text: str = "Hello, where is it?",
    references: tuple[str, ...] = (),
    **more: Any,
) -> Contact:
    values: dict[str, Any] = {
        "account": "support",
        "native_id": message_id,
        "received_at": NOW,
        "sender": Sender(kind="email", address=sender, name="Ann", verdict=more.pop("verdict", "unknown")),
        "subject": subject,
        "text": text,
        "content": EmailContent(
            message_id=message_id,
            references=references,
            in_reply_to=references[-1:],
            headers=more.pop("headers", (("From", sender), ("Subject", subject))),
            envelope_from=sender,
            to=("support@shop.example",),
        ),
    }
    return Contact(**{**values, **more})


def chat(text: str = "Hi", *, session: str = "s1", n: int = 1, **more: Any) -> Contact:
    values: dict[str, Any] = {
        "account": "website",
        "native_id": f"{session}:{n}",
        "received_at": NOW,
        "sender": Sender(kind="session", address=session, verdict="verified"),
        "text": text,
        "content": ChatContent(session_id=session, client_message_id=str(n)),
    }
    return Contact(**{**values, **more})


def web_form(key: str = "k1", *, address: str = "bob@example.org", text: str = "Please call", **more: Any) -> Contact:
    values: dict[str, Any] = {
        "account": "contact",
        "native_id": key,
        "received_at": NOW,
        "sender": Sender(kind="email" if address else "anonymous", address=address, name="Bob"),
        "subject": "A question",
        "text": text,
        "content": WebFormContent(form="contact", fields={"message": text}),
    }
    return Contact(**{**values, **more})


def call(call_id: str = "c1", **more: Any) -> Contact:
    values: dict[str, Any] = {
        "account": "calls",
        "native_id": call_id,
        "received_at": NOW,
        "sender": Sender(kind="phone", address="+49301234567", name="Carl"),
        "subject": "Missed call",
        "text": "Please call back",
        "content": PhoneLogContent(call_id=call_id, caller="+49301234567", disposition="no-answer"),
    }
    return Contact(**{**values, **more})


def arrival(contact: Contact, raw: bytes | None = None) -> Arrival:
    return Arrival(contact=contact, raw=raw or contact.model_dump_json().encode(), media_type="application/json")
