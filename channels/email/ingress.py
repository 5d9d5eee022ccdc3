"""The doors for mail servers, SMTP and LMTP: 250 is said only when the mail is on disk (aiosmtpd)."""

import asyncio
import ssl
from collections.abc import Callable, Mapping
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session

from channels.email.doors import LmtpDoor, SmtpDoor, answers, has_bare_line_end, return_path, without_auth
from channels.email.parser.fields import untagged
from channels.email.reading import MailReader
from channels.email.settings import EmailSettings
from channels.port import Context
from runtime.http.settings import parse_bind
from runtime.logs import get_logger
from schemas.errors import ConfigError, TemporaryError
from store.intake import Arrival

STOP_TIMEOUT_S = 10.0
IDLE_TIMEOUT_S = 300

ACCEPTED = "250 2.0.0 Accepted"
BLOCKED = "550 5.7.1 Mail from this sender is not taken here"
LATER = "451 4.3.0 The mail could not be stored just now, please try again"

log = get_logger(__name__)


def for_all(outcomes: list[str]) -> str:
    """SMTP's one answer for all recipients. A retry helps whoever has to wait, and those that have taken the mail know
    it again; a refusal would end the mail for them all, so it is said only when nobody took it."""
    return next((each for each in outcomes if each.startswith("4")), ACCEPTED if ACCEPTED in outcomes else outcomes[0])


class SmtpIngress:
    """Service, and the handler that aiosmtpd calls. The doors serve all accounts, told apart by recipient."""

    name = "smtp ingress"

    def __init__(self, context: Context, accounts: Mapping[str, EmailSettings], reader: MailReader) -> None:
        self._context = context
        self._accounts = accounts
        self._by_address = {a: name for name, settings in accounts.items() for a in settings.addresses}
        self._domains = {address.rpartition("@")[2] for address in self._by_address}
        self._reader = reader
        self._servers: list[asyncio.Server] = []
        self._tls: ssl.SSLContext | None = None
        self._busy: set[asyncio.Task[Any]] = set()
        self.handle_EHLO = without_auth
        settings = context.smtp_ingress
        self.port = parse_bind(settings.bind)[1]
        self.lmtp_port = parse_bind(settings.lmtp_bind)[1] if settings.lmtp_bind else None

    async def start(self) -> None:
        """Raises ConfigError when an address is taken or the certificate cannot be read."""
        settings = self._context.smtp_ingress
        if settings.tls_cert is not None and settings.tls_key is not None:
            self._tls = self._certificate(settings.tls_cert, settings.tls_key)
        self.port = await self._listen("smtp_ingress.bind", settings.bind, SmtpDoor)
        if settings.lmtp_bind is not None:
            self.lmtp_port = await self._listen("smtp_ingress.lmtp_bind", settings.lmtp_bind, LmtpDoor)

    async def drain(self) -> None:
        """No new connections; mails that are being accepted get their answer."""
        for server in self._servers:
            server.close()
        if self._busy:
            await asyncio.wait(self._busy, timeout=STOP_TIMEOUT_S)

    async def stop(self) -> None:
        for server in self._servers:
            server.close()

    def _certificate(self, cert: str, key: str) -> ssl.SSLContext:
        folder = self._context.config_dir
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            context.load_cert_chain(folder / cert, folder / key)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError([f"smtp_ingress.tls_cert, tls_key: cannot be used: {error}"]) from error
        return context

    async def _listen(self, key: str, bind: str, door: type[SmtpDoor]) -> int:
        host, port = parse_bind(bind)
        try:
            server = await asyncio.get_running_loop().create_server(self._door(door), host, port)
        except OSError as error:
            raise ConfigError([f"{key}: cannot listen at {host}:{port}: {error.strerror}"]) from error
        self._servers.append(server)
        port = int(server.sockets[0].getsockname()[1])
        log.info("listening", service=self.name, protocol=door.__name__, address=f"{host}:{port}")
        return port

    def _door(self, door: type[SmtpDoor]) -> Callable[[], SMTP]:
        settings = self._context.smtp_ingress
        return lambda: door(
            self,
            data_size_limit=settings.max_bytes,
            enable_SMTPUTF8=True,
            decode_data=False,
            hostname="switchboard",
            ident="Switchboard",
            timeout=IDLE_TIMEOUT_S,
            tls_context=self._tls,
            require_starttls=settings.require_tls,
        )

    async def handle_RCPT(  # noqa: N802 (aiosmtpd's name)
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        account = self._account(address)
        if account is None:
            await self._refused("ingress", "no such recipient")
            return "550 5.1.1 There is no such mailbox here"
        if self._accounts[account].blocks(return_path(envelope)):
            await self._refused(account, "blocked sender")
            return BLOCKED
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        task = asyncio.ensure_future(self._accept(envelope))
        self._busy.add(task)
        task.add_done_callback(self._busy.discard)
        outcome = await asyncio.shield(task)
        if isinstance(server, LmtpDoor):
            return answers([outcome[self._account(to) or ""] for to in envelope.rcpt_tos])
        return for_all(list(outcome.values()))

    async def handle_exception(self, error: Exception) -> str:
        log.exception("a mail could not be taken", error=repr(error))
        return "451 4.3.0 Something went wrong here, please try again"

    async def too_large(self, envelope: Envelope) -> None:
        """The doors say so when they have refused a mail for its size."""
        accounts = {self._account(to) or "ingress" for to in envelope.rcpt_tos} or {"ingress"}
        for account in sorted(accounts):
            await self._refused(account, "too large")

    async def _accept(self, envelope: Envelope) -> dict[str, str]:
        """Account → the answer to its recipients. Never raises."""
        raw = envelope.content if isinstance(envelope.content, bytes) else (envelope.content or "").encode()
        accounts = sorted({name for to in envelope.rcpt_tos if (name := self._account(to)) is not None})
        if has_bare_line_end(raw):
            for account in accounts:
                await self._refused(account, "bare line end")
            return dict.fromkeys(accounts, "550 5.6.0 A bare CR or LF is no line end (RFC 5321 section 2.3.8)")
        # The same mail for two accounts is one contact with two paths.
        return {account: await self._accept_for(account, raw, envelope) for account in accounts}

    async def _accept_for(self, account: str, raw: bytes, envelope: Envelope) -> str:
        now = self._context.clock.now()
        try:
            contact = await self._reader.read(
                raw, account, now, envelope_from=return_path(envelope), envelope_to=envelope.rcpt_tos
            )
            if self._accounts[account].blocks(contact.sender.address):
                await self._refused(account, "blocked sender")
                return BLOCKED
            await self._context.store.intake.accept(Arrival(contact=contact, raw=raw, media_type="message/rfc822"), now)
        except TemporaryError as error:
            log.warning("mail deferred", account=account, error=str(error))
            return LATER
        except Exception as error:  # a bug must not make the sender give the mail up
            return await self.handle_exception(error)
        return ACCEPTED

    def _account(self, address: str) -> str | None:
        """The account that a recipient belongs to. postmaster must always be reachable (RFC 5321 §4.5.1)."""
        wanted = address.lower()
        local, _, domain = wanted.rpartition("@")
        if found := self._by_address.get(wanted) or self._by_address.get(untagged(wanted)):
            return found
        if wanted == "postmaster" or (local == "postmaster" and domain in self._domains):
            same = (name for a, name in self._by_address.items() if a.rpartition("@")[2] == domain)
            return next(same, None) or next(iter(self._by_address.values()), None)
        return None

    async def _refused(self, account: str, reason: str) -> None:
        try:
            await self._context.store.intake.refused("email", account, reason)
        except TemporaryError:
            log.warning("a refusal could not be counted", reason=reason)
