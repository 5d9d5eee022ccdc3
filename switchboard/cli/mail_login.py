"""`channels login`: sign in to a mailbox by device code, or with a browser."""

import asyncio
import sys
from typing import Annotated

import typer
from rich.markup import escape

from channels.email.browser_sign_in import browser_sign_in, finish_browser_sign_in
from channels.email.mailboxes.connection import Connection
from channels.email.mailboxes.sign_in import SignIn
from channels.email.oauth import TokenFile, begin_sign_in, finish_sign_in
from channels.email.settings import OAuthSettings
from runtime.clock import SystemClock
from schemas.errors import ConfigError
from switchboard.cli.app import configuration, quiet_logs
from switchboard.cli.mail_accounts import email_account
from switchboard.cli.output import err


def login(
    account: Annotated[str, typer.Argument(metavar="ACCOUNT", help="An email account with imap.oauth.")],
    browser: Annotated[
        bool | None,
        typer.Option(
            "--browser/--device", help="Come back from a browser, or type a code. By default the browser for Google."
        ),
    ] = None,
) -> None:
    """Sign in to a mailbox that wants OAuth: open a page and agree; the token is kept in the data folder."""
    quiet_logs()
    asyncio.run(_login(account, browser))


async def _login(account: str, browser: bool | None) -> None:
    found = configuration()
    name, settings = email_account(found, account)
    imap = settings.imap
    if imap is None or imap.oauth is None:
        raise ConfigError(
            [f"channels.email.{name}.imap.oauth: is not set"], hint="an account with a password needs no login"
        )
    file = TokenFile(found.data_dir, name)
    user, sends = imap.username or settings.address, settings.smtp is not None and settings.smtp.oauth
    if imap.oauth.provider == "google" if browser is None else browser:
        await _by_browser(imap.oauth, user, file, sends=sends)
    else:
        code = await begin_sign_in(imap.oauth, sends=sends)
        err.print(f"Open [bold]{escape(code.url)}[/] and type [bold]{escape(code.user_code)}[/]", soft_wrap=True)
        err.print(f"Sign in there as {escape(user)}. Waiting …", soft_wrap=True)
        await finish_sign_in(imap.oauth, code, file)
    err.print(f"The token is kept in {escape(str(file.path))}.", soft_wrap=True)
    signing = SignIn(name, settings, found.data_dir, SystemClock())
    connection = await signing.open(lambda: Connection(imap, found.path.parent))
    await connection.close()
    err.print(f"[green]✓[/] {escape(imap.host)} lets us in. A running Switchboard reads it within five minutes.")


async def _by_browser(settings: OAuthSettings, user: str, file: TokenFile, *, sends: bool) -> None:
    async with browser_sign_in(settings, user, sends=sends) as begun:
        err.print(f"Open this in a browser and sign in as {escape(user)}:\n{escape(begun.url)}", soft_wrap=True)
        if sys.stdin.isatty():
            # A browser on another machine ends at a page that it cannot open.
            err.print("If the browser is on another machine, paste here the address that it ends at.", soft_wrap=True)
            loop = asyncio.get_running_loop()

            def pasted() -> None:
                line = sys.stdin.readline().strip()
                if line and not begun.came.done():
                    begun.came.set_result(line)

            loop.add_reader(sys.stdin.fileno(), pasted)
        try:
            await finish_browser_sign_in(settings, begun, file)
        finally:
            if sys.stdin.isatty():
                asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
