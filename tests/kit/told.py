"""Mails written down as they come over the wire, and what the parser says of them."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from channels.email.parser.mail import Known
from channels.email.parser.report import report

BASE = b"From: Ann <ann@example.org>\r\nTo: help@shop.example\r\nSubject: Order\r\nMessage-ID: <m1@example.org>\r\n\
Date: Mon, 4 May 2026 10:00:00 +0200\r\n"


def told(raw: bytes | str, **more: Any) -> dict[str, Any]:
    """The published object of one mail; line ends of a `str` become those of the wire."""
    data = raw.replace("\n", "\r\n").encode("utf-8", "surrogateescape") if isinstance(raw, str) else raw
    known = {name: more.pop(name) for name in list(more) if name in Known.__dataclass_fields__}
    made = report(data, file="x.eml", known=known, **more)
    published().validate(made)
    return made


@cache
def published() -> Draft202012Validator:
    """The schema that stands in the docs."""
    return Draft202012Validator(json.loads((Path(__file__).parents[2] / "docs" / "mail.schema.json").read_text()))


def mail(body: str | bytes, head: str = "") -> bytes:
    """A whole mail with these further header lines."""
    data = body.replace("\n", "\r\n").encode() if isinstance(body, str) else body
    lines = head.replace("\n", "\r\n").encode() + (b"\r\n" if head and not head.endswith("\n") else b"")
    return BASE + lines + b"\r\n" + data


def multipart(kind: str, *parts: str | bytes, head: str = "") -> bytes:
    """Each part with its own header lines; the boundary is `=b`."""
    data = [part.replace("\n", "\r\n").encode() if isinstance(part, str) else part for part in parts]
    inner = b"".join(b"--=b\r\n" + part + b"\r\n" for part in data) + b"--=b--\r\n"
    return BASE + head.encode() + f'Content-Type: multipart/{kind}; boundary="=b"\r\n\r\n'.encode() + inner
