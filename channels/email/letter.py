"""What threading looks at in a mail, and the keys by which two mentions of one mail are the same. Pure."""

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass

from channels.email.parser.fields import ids, untagged
from channels.email.parser.mail import Mail
from schemas.text import clean_line

ALIAS_FIELDS = (
    "X-Microsoft-Original-Message-ID", "X-Google-Original-Message-ID", "X-MS-Exchange-Original-Message-ID",
    "X-Original-Message-ID", "Original-Message-ID", "X-Gm-Original-Message-ID", "Resent-Message-ID",
)  # fmt: skip
"""Where a relay that writes a Message-ID of its own keeps the one that it found."""

_JIRA = re.compile(r"(?i)^JIRA\.(\d{1,20})\.(\d{1,20})\b")
_SES = re.compile(r"(?i)^([0-9a-f]{16}-[0-9a-f-]{36,60})@(?:[a-z0-9-]+\.)?amazonses\.com$")
_INDEX_BYTES = 22


@dataclass(frozen=True, slots=True)
class Letter:
    """What threading looks at. Ids without brackets; addresses normalised."""

    message_id: str
    sender: str
    verified: bool = False
    failed: bool = False
    in_reply_to: Sequence[str] = ()
    references: Sequence[str] = ()
    recipients: Sequence[str] = ()
    """To and the addresses that it was delivered to."""
    cc: Sequence[str] = ()
    aliases: Sequence[str] = ()
    """Other ids of this mail: what `ALIAS_FIELDS` hold."""
    thread_index: str = ""
    subject: str = ""
    ours: bool = False
    """One of our own mails: its recipients take part from then on."""
    about: str | None = None
    """The mail that came back, or that a receipt is for."""
    about_recipients: Sequence[str] = ()
    """Whose the mail was that came back."""


def stable(message_id: str) -> str:
    """The part of an id by which two mentions of one mail are the same: Jira's changes its tail with each mail of an
    issue, Amazon's region stands in one mention and not in the other, some relays change the case."""
    if found := _JIRA.match(message_id):
        return f"jira.{found[1]}.{found[2]}"
    if found := _SES.match(message_id):
        return f"{found[1].lower()}@amazonses.com"
    return message_id.strip("<> ").lower()


def index_root(thread_index: str) -> str:
    """Outlook's Thread-Index: its first 22 bytes are the conversation's, whatever became of the Message-IDs; ""."""
    try:
        raw = base64.b64decode("".join(thread_index.split()), validate=True)
    except (binascii.Error, ValueError):
        return ""
    return f"thread-index:{raw[:_INDEX_BYTES].hex()}" if len(raw) >= _INDEX_BYTES else ""


def keys(letter: Letter) -> tuple[str, ...]:
    """What others may know this mail by."""
    found = (letter.message_id, *letter.aliases, index_root(letter.thread_index))
    return tuple(dict.fromkeys(stable(each) for each in found if each))


def refers_to(letter: Letter) -> tuple[str, ...]:
    """The keys of the mails that it refers to, the nearest first."""
    found = [*letter.in_reply_to, *reversed(letter.references), index_root(letter.thread_index)]
    if letter.about:
        found.insert(0, letter.about)
    return tuple(dict.fromkeys(stable(each) for each in found if each))


def letter_of(mail: Mail) -> Letter:
    """What threading looks at in a mail."""
    people = mail.people
    bounce = mail.bounce
    own = {each.lower() for each in mail.known.own_addresses}
    return Letter(
        message_id=mail.message_id,
        sender=people.sender[1] if people.sender else "",
        verified=mail.auth.verdict == "verified",
        failed=mail.auth.verdict == "failed",
        in_reply_to=mail.in_reply_to,
        references=mail.references,
        recipients=[*(address for _, address in people.to), *people.delivered_to],
        cc=[address for _, address in people.cc if address not in own],
        aliases=[each for name in ALIAS_FIELDS for each in ids(mail.root.first(name))],
        thread_index=clean_line(mail.root.first("Thread-Index"))[:2000],
        subject=mail.subject,
        ours=_is_ours(mail, own),
        about=bounce.about_message_id if bounce else mail.receipt_for,
        about_recipients=list(bounce.recipients) if bounce else [],
    )


def _is_ours(mail: Mail, own: set[str]) -> bool:
    """A copy of what we sent: our address wrote it, and that is proved, or it comes from our own folder and has been
    nowhere."""
    sender = mail.people.sender[1].lower() if mail.people.sender else ""
    if mail.automatic.kind != "own" or not {sender, untagged(sender)} & own or mail.auth.verdict == "failed":
        return False
    return mail.auth.verdict == "verified" or not mail.root.first("Received")
