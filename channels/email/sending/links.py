"""Connections to one relay: signed in, and kept for the next mail."""

import ssl
from pathlib import Path

import aiosmtplib

from channels.email.oauth import Tokens
from channels.email.settings import SmtpSettings
from runtime.clock import Clock
from schemas.errors import SwitchboardError

CONNECT_TIMEOUT_S = 30.0
NOOP_TIMEOUT_S = 5.0
WARM_S = 1.0
"""So long after its last mail a connection is not asked whether it is alive: MAIL will tell."""
KEEP_S = 30.0
"""Relays hang up on who says nothing; and an idle connection is somebody else's slot."""
AUTH_TIMEOUT_S = 60.0


class RelayUnfit(SwitchboardError):
    """The relay and our settings for it do not go together: every mail fares the same until somebody acts."""


def hang_up(client: aiosmtplib.SMTP) -> None:
    """Close the link at once: a polite end of TLS would keep its socket for as long as the other side likes."""
    transport = client.transport
    client.close()
    if transport is not None:
        transport.abort()  # type: ignore[attr-defined]


class Links:
    """One mail at a time goes over each. `tokens`: sign in by XOAUTH2 instead of the password."""

    def __init__(
        self,
        relay: SmtpSettings,
        clock: Clock,
        *,
        username: str = "",
        tokens: Tokens | None = None,
        config_dir: Path | None = None,
    ) -> None:
        self._relay = relay
        self._clock = clock
        self._username = relay.username or username
        self._tokens = tokens
        self._config_dir = config_dir or Path()
        self._idle: list[tuple[aiosmtplib.SMTP, float]] = []
        self.opened = 0
        self.greeting = ""
        """What the relay said first."""

    async def take(self) -> tuple[aiosmtplib.SMTP, bool]:
        """One that answers, ready for MAIL, and whether it is a new one. Raises SMTPException, OSError, TimeoutError,
        OAuthUnavailable, SignInNeeded, RelayUnfit."""
        self.prune()
        while self._idle:
            client, since = self._idle.pop()
            if self._clock.monotonic() - since < WARM_S and client.is_connected:
                return client, False
            try:
                if (await client.noop(timeout=NOOP_TIMEOUT_S)).code == aiosmtplib.SMTPStatus.completed:
                    return client, False
            except (aiosmtplib.SMTPException, OSError, TimeoutError):
                pass
            hang_up(client)
        return await self.open(), True

    def give_back(self, client: aiosmtplib.SMTP) -> None:
        """After a mail that was taken: the next one may follow."""
        self._idle.append((client, self._clock.monotonic()))

    def prune(self, *, all_: bool = False) -> None:
        """Close what nobody has used for long."""
        until = self._clock.monotonic() - KEEP_S
        keep: list[tuple[aiosmtplib.SMTP, float]] = []
        for client, since in self._idle:
            if all_ or since < until:
                hang_up(client)
            else:
                keep.append((client, since))
        self._idle = keep

    async def open(self) -> aiosmtplib.SMTP:
        """A new one. Raises as `take`."""
        relay = self._relay
        client = aiosmtplib.SMTP(
            hostname=relay.host,
            port=relay.port,
            use_tls=relay.tls == "implicit",
            start_tls=False,
            tls_context=None if relay.tls == "none" else self._context(),
            timeout=CONNECT_TIMEOUT_S,
        )
        try:
            self.greeting = (await client.connect()).message
            self.opened += 1
            await client.ehlo(timeout=AUTH_TIMEOUT_S)
            if relay.tls == "starttls":
                if not client.supports_extension("starttls"):
                    raise RelayUnfit(
                        "the relay does not offer STARTTLS: is smtp.port right, or has it to be tls: implicit?"
                    )
                await client.starttls(timeout=CONNECT_TIMEOUT_S)
                await client.ehlo(timeout=AUTH_TIMEOUT_S)
            await self._sign_in(client)
        except BaseException:
            hang_up(client)
            raise
        return client

    async def _sign_in(self, client: aiosmtplib.SMTP) -> None:
        relay = self._relay
        if self._tokens is not None:
            token = await self._tokens.access()
            try:
                await client.auth_xoauth2(self._username, token, timeout=AUTH_TIMEOUT_S)
            except aiosmtplib.SMTPAuthenticationError:
                # Revoked before its time, perhaps: once more with a fresh one.
                self._tokens.refused(token)
                await client.auth_xoauth2(self._username, await self._tokens.access(), timeout=AUTH_TIMEOUT_S)
        elif relay.password is not None:
            if not client.supported_auth_methods:
                raise RelayUnfit(
                    "the relay offers no way to sign in that we know: does it take passwords at this port?"
                )
            await client.login(self._username, relay.password.get_secret_value(), timeout=AUTH_TIMEOUT_S)

    def _context(self) -> ssl.SSLContext:
        """Raises RelayUnfit."""
        ca = self._relay.ca_file
        try:
            return ssl.create_default_context(cafile=str(self._config_dir / ca) if ca else None)
        except OSError as error:
            raise RelayUnfit(f"smtp.ca_file cannot be read: {self._config_dir / (ca or '')}: {error}") from error
