"""Signing in to one account's mailbox, by password or by token."""

from collections.abc import Callable
from pathlib import Path

from channels.email.mailboxes.connection import Connection, Secret, SignInRefused
from channels.email.oauth import TokenFile, Tokens
from channels.email.settings import EmailSettings
from runtime.clock import Clock


class SignIn:
    """Shared by all folders of the account, so that its token is renewed once."""

    def __init__(self, account: str, settings: EmailSettings, data_dir: Path, clock: Clock) -> None:
        assert settings.imap is not None
        self._imap = settings.imap
        self._username = settings.imap.username or settings.address
        oauth = settings.imap.oauth
        self._tokens = Tokens(oauth, TokenFile(data_dir, account), clock) if oauth is not None else None

    async def open(self, make: Callable[[], Connection]) -> Connection:
        """A connection that is signed in. Raises MailboxUnavailable, SignInRefused, OAuthUnavailable, SignInNeeded.

        A token that the server does not take is renewed once: it may have been revoked before its time.
        """
        if self._tokens is None:
            assert self._imap.password is not None
            return await make().open(self._username, Secret(self._imap.password.get_secret_value()))
        token = await self._tokens.access()
        try:
            return await make().open(self._username, Secret(token, is_token=True))
        except SignInRefused:
            self._tokens.refused(token)
            return await make().open(self._username, Secret(await self._tokens.access(), is_token=True))
