"""The door for mail servers: 250 is said only when the mail is on disk (aiosmtpd)."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson
from aiosmtpd.smtp import SMTP, Envelope, Session

from channels.email.parse import unparsed
from channels.email.settings import EmailSettings
from channels.port import Context
from runtime.http.settings import parse_bind
from runtime.logs import get_logger
from runtime.workers import WorkerCrashed, WorkerPool, WorkerRaised, WorkerTimeout
from schemas import limits
from schemas.errors import ConfigError, TemporaryError
from schemas.interaction import Contact
from store.intake import Arrival

TARGET = "channels.email.worker:work"
STOP_TIMEOUT_S = 10.0

log = get_logger(__name__)


class _Door(SMTP):  # type: ignore[misc]  # aiosmtpd has no types
    line_length_limit = 1024 * 1024
    """Far more than the standard's 1,000: programs that write HTML on one line are many, and their mail is mail."""


class SmtpIngress:
    """Service, and the handler that aiosmtpd calls. One door for all accounts, told apart by recipient."""

    name = "smtp ingress"

    def __init__(self, context: Context, accounts: Mapping[str, EmailSettings]) -> None:
        self._context = context
        self._accounts = accounts
        self._by_address = {settings.address.lower(): name for name, settings in accounts.items()}
        self._own = sorted(self._by_address)
        self._bind = parse_bind(context.smtp_ingress.bind)
        self._parsers = WorkerPool(TARGET, size=2, deadline_s=limits.PARSE_TIMEOUT.total_seconds(), name="mail parser")
        self._server: asyncio.Server | None = None
        self._busy: set[asyncio.Task[Any]] = set()
        self.port = self._bind[1]

    async def start(self) -> None:
        """Raises ConfigError when the address is taken."""
        await self._parsers.start()
        host, port = self._bind
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(self._connection, host, port)
        except OSError as error:
            raise ConfigError([f"smtp_ingress.bind: cannot listen at {host}:{port}: {error.strerror}"]) from error
        self.port = self._server.sockets[0].getsockname()[1]
        log.info("listening", service=self.name, address=f"{host}:{self.port}")

    async def drain(self) -> None:
        """No new connections; mails that are being accepted get their answer."""
        if self._server is not None:
            self._server.close()
        if self._busy:
            await asyncio.wait(self._busy, timeout=STOP_TIMEOUT_S)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        await self._parsers.stop()

    def _connection(self) -> SMTP:
        return _Door(
            self,
            data_size_limit=self._context.smtp_ingress.max_bytes,
            enable_SMTPUTF8=True,
            decode_data=False,
            hostname="switchboard",
            ident="Switchboard",
            timeout=300,
        )

    async def handle_RCPT(  # noqa: N802 (aiosmtpd's name)
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self._account(address) is None:
            await self._refused("no such recipient")
            return "550 5.1.1 There is no such mailbox here"
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        task = asyncio.ensure_future(self._accept(envelope))
        self._busy.add(task)
        task.add_done_callback(self._busy.discard)
        return await asyncio.shield(task)

    async def handle_exception(self, error: Exception) -> str:
        log.exception("a mail could not be taken", error=repr(error))
        return "451 4.3.0 Something went wrong here, please try again"

    async def _accept(self, envelope: Envelope) -> str:
        raw = envelope.content if isinstance(envelope.content, bytes) else (envelope.content or "").encode()
        now = self._context.clock.now()
        accounts = sorted({name for to in envelope.rcpt_tos if (name := self._account(to)) is not None})
        try:
            for account in accounts:  # the same mail for two accounts is one contact with two paths
                contact = await self._read(raw, account, envelope, now)
                await self._context.store.intake.accept(
                    Arrival(contact=contact, raw=raw, media_type="message/rfc822"), now
                )
        except TemporaryError as error:
            log.warning("mail deferred", error=str(error))
            return "451 4.3.0 The mail could not be stored just now, please try again"
        return "250 2.0.0 Accepted"

    async def _read(self, raw: bytes, account: str, envelope: Envelope, now: datetime) -> Contact:
        """Raises WorkersUnavailable: no mail is parsed in this process, which nobody could stop."""
        settings = self._accounts[account]
        sender = envelope.mail_from or ""
        job = {
            "account": account,
            "received_at": now.isoformat(),
            "envelope_from": sender,
            "envelope_to": envelope.rcpt_tos,
            "own_addresses": self._own,
            "authserv_id": settings.authserv_id,
            "queue": settings.queue,
        }
        head = orjson.dumps(job)
        try:
            answer = await self._parsers.run(len(head).to_bytes(4, "big") + head + raw)
            return Contact.model_validate_json(answer)
        except (WorkerTimeout, WorkerCrashed, WorkerRaised) as error:
            log.warning("a mail could not be parsed", error=str(error), bytes=len(raw))
            why = "it could not be parsed in time" if isinstance(error, WorkerTimeout) else "the parser failed on it"
            return unparsed(raw, why, account=account, received_at=now, envelope_from=sender, queue=settings.queue)

    def _account(self, address: str) -> str | None:
        """The account that a recipient belongs to. postmaster must always be reachable (RFC 5321 §4.5.1)."""
        wanted = address.lower()
        local, _, domain = wanted.rpartition("@")
        if wanted in self._by_address:
            return self._by_address[wanted]
        plain = f"{local.partition('+')[0]}@{domain}"
        if plain in self._by_address:
            return self._by_address[plain]
        if wanted.partition("@")[0] == "postmaster":
            return next(iter(self._by_address.values()), None)
        return None

    async def _refused(self, reason: str) -> None:
        try:
            await self._context.store.intake.refused("email", "ingress", reason)
        except TemporaryError:
            log.warning("a refusal could not be counted", reason=reason)
