"""`channels login`: sign in to a mailbox by device code."""

import asyncio
from typing import Annotated

import typer
from rich.markup import escape

from channels.email.mailboxes.connection import Connection
from channels.email.mailboxes.sign_in import SignIn
from channels.email.oauth import TokenFile, begin_sign_in, finish_sign_in
from runtime.clock import SystemClock
from schemas.errors import ConfigError
from switchboard.cli.app import configuration, quiet_logs
from switchboard.cli.mail_accounts import email_account
from switchboard.cli.output import err


def login(account: Annotated[str, typer.Argument(metavar="ACCOUNT", help="An email account with imap.oauth.")]) -> None:
    """Sign in to a mailbox that wants OAuth: open a page, type a code, and the token is kept in the data folder."""
    quiet_logs()
    asyncio.run(_login(account))


async def _login(account: str) -> None:
    found = configuration()
    name, settings = email_account(found, account)
    imap = settings.imap
    if imap is None or imap.oauth is None:
        raise ConfigError(
            [f"channels.email.{name}.imap.oauth: is not set"], hint="an account with a password needs no login"
        )
    code = await begin_sign_in(imap.oauth, sends=settings.smtp is not None and settings.smtp.oauth)
    err.print(f"Open [bold]{escape(code.url)}[/] and type [bold]{escape(code.user_code)}[/]", soft_wrap=True)
    err.print(f"Sign in there as {escape(imap.username or settings.address)}. Waiting …", soft_wrap=True)
    file = TokenFile(found.data_dir, name)
    await finish_sign_in(imap.oauth, code, file)
    err.print(f"The token is kept in {escape(str(file.path))}.", soft_wrap=True)
    signing = SignIn(name, settings, found.data_dir, SystemClock())
    connection = await signing.open(lambda: Connection(imap, found.path.parent))
    await connection.close()
    err.print(f"[green]✓[/] {escape(imap.host)} lets us in. A running Switchboard reads it within five minutes.")
