"""aiosmtpd's two protocols as we need them: long lines, sizes, bounces, and in LMTP an answer per recipient."""

import asyncio
from typing import Any

from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP, Envelope, Session, syntax

END = b".\r\n"

_NO_DATA = ("500 Line too long", "552 ")


class SmtpDoor(SMTP):  # type: ignore[misc]  # aiosmtpd has no types
    line_length_limit = 1024 * 1024
    """Far more than the standard's 1,000: programs that write HTML on one line are many, and their mail is mail."""

    @syntax("DATA")  # type: ignore[untyped-decorator]
    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802
        """As aiosmtpd's, but reads a mail in large pieces: line by line a mail of 2 MB takes half a second."""
        if await self.check_helo_needed() or await self.check_auth_needed("DATA"):
            return
        if not self.envelope.rcpt_tos:
            await self.push("503 Error: need RCPT command")
            return
        if arg:
            await self.push("501 Syntax: DATA")
            return
        await self.push("354 End data with <CR><LF>.<CR><LF>")
        content = await self._mail()
        if content is None:
            await self.push("552 Error: Too much mail data")
        elif has_long_line(content, self.line_length_limit):
            await self.push("500 Line too long (see RFC5321 4.5.3.1.6)")
        else:
            self.envelope.content = self.envelope.original_content = content
            await self.push(await self.event_handler.handle_DATA(self, self.session, self.envelope))
        self._set_post_data_state()

    async def _mail(self) -> bytes | None:
        """What is sent up to the lone dot, without its transparency dots (RFC 5321 §4.5.2); None: it is too large."""
        mail, size = bytearray(), 0
        while True:
            try:
                piece = await self._reader.readuntil(END)
            except asyncio.LimitOverrunError as error:
                piece = await self._reader.read(error.consumed)
            except asyncio.CancelledError:
                self._writer.close()
                raise
            self._reset_timeout()
            size += len(piece)
            mail += piece
            # The piece ends with a dot on a line; on a line of its own, it is the end.
            if piece.endswith(END) and (mail.endswith(b"\r\n" + END) or size == len(END)):
                break
            if size > self.data_size_limit:
                del mail[: -len(END) - 2]  # enough to see the end, which is read before the answer
        if size - len(END) > self.data_size_limit:
            return None
        del mail[-len(END) :]
        if mail.startswith(b"."):
            del mail[0]
        return bytes(mail.replace(b"\r\n.", b"\r\n"))

    async def push(self, status: Any) -> None:
        if isinstance(status, str) and status.startswith(_NO_DATA):
            await self.event_handler.too_large(self.envelope)
        await super().push(status)


class LmtpDoor(SmtpDoor, LMTP):  # type: ignore[misc]
    def __init__(self, *of_aiosmtpd: Any, require_starttls: bool = False, **named: Any) -> None:
        # aiosmtpd would refuse LHLO before STARTTLS, and nobody could learn that there is such a thing.
        super().__init__(*of_aiosmtpd, **named)
        self._wants_tls = require_starttls

    async def smtp_MAIL(self, arg: str | None) -> None:  # noqa: N802
        if self._wants_tls and self.session.ssl is None:
            await self.push("530 5.7.0 Must issue a STARTTLS command first")
        else:
            await super().smtp_MAIL(arg)

    async def push(self, status: Any) -> None:
        """What is said before the handler sees the mail is one line in aiosmtpd; LMTP wants one per recipient."""
        if isinstance(status, str) and status.startswith(_NO_DATA) and self.envelope.rcpt_tos:
            status = answers([status] * len(self.envelope.rcpt_tos))
        await super().push(status)


def has_bare_line_end(content: bytes) -> bool:
    """A line end that is none (RFC 5321 §2.3.8). Servers that disagree about it can be made to see two mails in one."""
    return not content.count(b"\r\n") == content.count(b"\n") == content.count(b"\r")


def has_long_line(content: bytes, limit: int) -> bool:
    at = 0
    while at + limit < len(content):
        at = content.rfind(b"\n", at, at + limit + 1) + 1
        if not at:
            return True
    return False


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
