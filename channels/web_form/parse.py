"""A submitted form → Contact, or what is wrong, field by field. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from channels.language import language_of
from channels.web_form.settings import FieldSettings, FormDefinition
from schemas import limits
from schemas.interaction import Contact, Sender, WebFormContent
from schemas.text import clean_line, clean_text

_EMAIL = re.compile(r"[^@\s<>\"(),;:]+@[^@\s<>\"(),;:]+\.[^@\s<>\"(),;:.]+")


@dataclass(frozen=True, slots=True)
class Mistakes:
    """Field → what is wrong with it. "" for the form as a whole."""

    fields: Mapping[str, str]


def parse_form(
    values: object, form: FormDefinition, *, account: str, key: str, queue: str | None, received_at: datetime
) -> Contact | Mistakes:
    """Never raises. `key` is the idempotency key: the same key is the same submission."""
    if not isinstance(values, Mapping):
        return Mistakes({"": "expected an object of fields"})
    mistakes: dict[str, str] = {}
    known = {*form.fields, *([form.honeypot] if form.honeypot else [])}
    for name in values:
        if name not in known:
            mistakes[str(name)[:100]] = f"unknown field; there are {', '.join(form.fields)}"
    clean: dict[str, str] = {}
    for name, field in form.fields.items():
        value = values.get(name, "")
        if not isinstance(value, str):
            mistakes[name] = "expected text"
            continue
        clean[name] = clean_text(value).strip()
        if wrong := _wrong(clean[name], field):
            mistakes[name] = wrong
    if mistakes:
        return Mistakes(mistakes)
    address = clean.get("email", "").lower()
    message = clean.get("message") or "\n".join(f"{name}: {value}" for name, value in clean.items() if value)
    trapped = bool(form.honeypot and values.get(form.honeypot))
    return Contact(
        account=account,
        native_id=key,
        received_at=received_at,
        queue=queue,
        sender=Sender(
            kind="email" if address else "anonymous",
            address=address,
            name=clean_line(clean.get("name", ""))[: limits.NAME_CHARS],
        ),
        subject=clean_line(clean.get("subject") or form.title)[: limits.SUBJECT_CHARS],
        text=message[: limits.TEXT_CHARS],
        language=language_of(message),
        attributes={k: v[: limits.ATTRIBUTE_CHARS] for k, v in clean.items() if k not in ("message", "email", "name")},
        automatic="a machine filled in the hidden field" if trapped else None,
        content=WebFormContent(form=account, fields=clean),
    )


def _wrong(value: str, field: FieldSettings) -> str:
    if not value:
        return "please fill this in" if field.required else ""
    if len(value) > field.max:
        return f"at most {field.max} characters, please"
    if field.type == "email" and (len(value) > limits.ADDRESS_CHARS or not _EMAIL.fullmatch(value)):
        return "this is not an email address"
    if field.type == "choice" and value not in field.choices:
        return f"one of {', '.join(field.choices)}"
    return ""
