"""The customers' own mail server: a real SMTP server on loopback that keeps what it is given, by recipient."""

import email
import email.policy
from collections import defaultdict
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope

STOP_TIMEOUT_S = 5.0


class CustomersMailServer:
    """Service: accepts mail for everybody."""

    name = "customers' mail server"

    def __init__(self) -> None:
        self._arrived: dict[str, list[bytes]] = defaultdict(list)
        self._read: dict[str, list[EmailMessage]] = defaultdict(list)
        self.port = 0
        self._server: Any = None

    @property
    def mailboxes(self) -> dict[str, list[EmailMessage]]:
        """Address → mails in order of arrival. They are parsed when somebody looks."""
        for address, arrived in self._arrived.items():
            read = self._read[address]
            read += map(_message, arrived[len(read) :])
        return self._read

    async def start(self) -> None:
        import asyncio

        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: SMTP(self, hostname="mx.customer.example", enable_SMTPUTF8=True), "127.0.0.1", 0
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def drain(self) -> None:
        """Nothing to do."""

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()

    async def handle_DATA(self, server: SMTP, session: Any, envelope: Envelope) -> str:  # noqa: N802 (aiosmtpd's name)
        content = envelope.content if isinstance(envelope.content, bytes) else (envelope.content or "").encode()
        for recipient in envelope.rcpt_tos:
            self._arrived[recipient.lower()].append(content)
        return "250 OK"


def _message(content: bytes) -> EmailMessage:
    message = email.message_from_bytes(content, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message
