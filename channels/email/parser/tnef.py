"""Outlook's winmail.dat (MS-OXTNEF): its files and, when the mail has no other, its text."""

import logging
import re
from dataclasses import dataclass, field

from channels.email.parser.charsets import decode
from channels.email.parser.rtf import text_of as rtf_text

MAX_FILES = 200


@dataclass(slots=True)
class Unpacked:
    text: str = ""
    html: str = ""
    files: list[tuple[str, bytes]] = field(default_factory=list)


def unpack(data: bytes) -> Unpacked | None:
    """None when it cannot be read: then the file stays as it is."""
    if not data.startswith(b"\x78\x9f\x3e\x22"):
        return None
    from tnefparse import TNEF  # few mails need it

    logging.getLogger("tnef-decode").setLevel(logging.CRITICAL)
    try:
        found = TNEF(data, do_checksum=False)
        out = Unpacked(text=_text(found.body), html=_text(found.htmlbody))
        if not out.html and not out.text and found.rtfbody:
            out.text = rtf_text(bytes(found.rtfbody))
        for file in found.attachments[:MAX_FILES]:
            name = file.long_filename() or file.name or ""
            name = _text(name) if isinstance(name, bytes) else str(name)
            content = file.data
            out.files.append(
                (re.sub(r"\0+$", "", name), bytes(content) if isinstance(content, (bytes, bytearray)) else b"")
            )
    except Exception:  # the library trusts its input in many places; the file is kept whole then
        return None
    return out


def _text(value: object) -> str:
    if isinstance(value, (bytes, bytearray)):
        return decode(bytes(value).rstrip(b"\0"), None)
    return value.rstrip("\0") if isinstance(value, str) else ""
