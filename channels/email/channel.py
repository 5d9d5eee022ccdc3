"""What the email channel brings to a process."""

from collections.abc import Mapping
from typing import Any

from channels.email.settings import EmailSettings
from channels.port import Channel, Context, Parts


def _build(context: Context, accounts: Mapping[str, Any]) -> Parts:
    if not accounts:
        return Parts()
    # Here, so that what only reads the settings need not load mail servers and clients.
    from channels.email.ingress import SmtpIngress
    from channels.email.mailboxes.service import Mailboxes
    from channels.email.reading import MailReader
    from channels.email.sending.sender import EmailSender
    from channels.presence import Presence

    presence = Presence(context.store, context.clock)
    reader = MailReader(accounts, context.secret)
    return Parts(
        inbound=[reader, SmtpIngress(context, accounts, reader), Mailboxes(context, accounts, reader)],
        outbound=[presence, EmailSender(context, accounts, presence)],
    )


def _conflicts(accounts: Mapping[str, Any]) -> list[str]:
    """Addresses and mailboxes that belong to two accounts."""
    problems: list[str] = []
    addresses: dict[str, str] = {}
    folders: dict[tuple[str, int, str, str], str] = {}
    for name, settings in accounts.items():
        problems += [
            f"{name}.address: {address} is the account {addresses[address]}'s already"
            for address in settings.addresses
            if addresses.setdefault(address, name) != name
        ]
        imap = settings.imap
        for folder in imap.folders if imap is not None else ():
            box = (imap.host.lower(), imap.port, imap.username or settings.address, folder)
            if folders.setdefault(box, name) != name:
                problems.append(f"{name}.imap: the account {folders[box]} reads {folder} of this mailbox already")
    return problems


CHANNEL = Channel(name="email", settings=EmailSettings, build=_build, conflicts=_conflicts)
