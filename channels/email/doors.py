"""aiosmtpd's two protocols as we need them: long lines, sizes, bounces, and in LMTP an answer per recipient."""

import re
from typing import Any

from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP, Envelope, Session

BARE = re.compile(rb"(?<!\r)\n|\r(?!\n)")
"""A line end that is none (RFC 5321 §2.3.8). Servers that disagree about it can be made to see two mails in one."""

_NO_DATA = ("500 Line too long", "552 ")


class SmtpDoor(SMTP):  # type: ignore[misc]  # aiosmtpd has no types
    line_length_limit = 1024 * 1024
    """Far more than the standard's 1,000: programs that write HTML on one line are many, and their mail is mail."""

    async def push(self, status: Any) -> None:
        if isinstance(status, str) and status.startswith(_NO_DATA):
            await self.event_handler.too_large(self.envelope)
        await super().push(status)


class LmtpDoor(SmtpDoor, LMTP):  # type: ignore[misc]
    async def push(self, status: Any) -> None:
        """What is said before the handler sees the mail is one line in aiosmtpd; LMTP wants one per recipient."""
        if isinstance(status, str) and status.startswith(_NO_DATA) and self.envelope.rcpt_tos:
            status = answers([status] * len(self.envelope.rcpt_tos))
        await super().push(status)


def answers(lines: list[str]) -> str:
    """Several replies in one write."""
    return "\r\n".join(lines)


async def without_auth(
    server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
) -> list[str]:
    """handle_EHLO: nobody signs in here, so AUTH is not offered."""
    session.host_name = hostname
    return [line for line in responses if not line.startswith("250-AUTH")]


def return_path(envelope: Envelope) -> str:
    """ "" for the null return path, which aiosmtpd spells `<>`."""
    sender = envelope.mail_from or ""
    return "" if sender == "<>" else sender
