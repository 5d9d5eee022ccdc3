"""What the email channel brings to a process."""

from collections.abc import Mapping
from typing import Any

from channels.email.ingress import SmtpIngress
from channels.email.mailboxes.service import Mailboxes
from channels.email.reading import MailReader
from channels.email.sender import EmailSender
from channels.email.settings import EmailSettings
from channels.port import Channel, Context, Parts
from channels.presence import Presence


def _build(context: Context, accounts: Mapping[str, Any]) -> Parts:
    if not accounts:
        return Parts()
    presence = Presence(context.store, context.clock)
    reader = MailReader(accounts)
    return Parts(
        inbound=[reader, SmtpIngress(context, accounts, reader), Mailboxes(context, accounts, reader)],
        outbound=[presence, EmailSender(context, accounts, presence)],
    )


CHANNEL = Channel(name="email", settings=EmailSettings, build=_build)
