"""What a feedback report says (ARF, RFC 5965): somebody pressed "this is spam" on a mail of ours. Pure and total."""

from collections.abc import Sequence
from dataclasses import dataclass

from channels.email.parser.bounces import MAX_RECIPIENTS, about_of, fields_of, typed_address
from channels.email.parser.mime import Part

RECIPIENT_FIELDS = ("original-rcpt-to", "removal-recipient")
"""Who complains, where the reporter does not hide it (RFC 5965 §3.2, and as Microsoft and others write it)."""


@dataclass(frozen=True, slots=True)
class Complaint:
    kind: str
    """The Feedback-Type: abuse, fraud, not-spam, opt-out, …"""
    recipients: tuple[str, ...]
    about_message_id: str | None
    """Of the mail that was complained about, without brackets."""


def complaint(root: Part, *, text: str, reports: Sequence[tuple[str, bytes]]) -> Complaint:
    """Of a mail that is known to be a feedback report."""
    kind, recipients = "", []
    for media_type, data in reports:
        if media_type != "message/feedback-report":
            continue
        for group in fields_of(data):
            kind = kind or group.get("feedback-type", "").strip().lower()
            recipients += [found for name in RECIPIENT_FIELDS if (found := typed_address(group.get(name, "")))]
    unique = tuple(dict.fromkeys(recipients))[:MAX_RECIPIENTS]
    return Complaint(kind, unique, about_of(root, text, reports))
