"""An SMTP server that does as it is told: refuse at any verb, reset or fall silent before or after the dot."""

import asyncio
import contextlib
import re
import socket
import ssl
from dataclasses import dataclass, field
from typing import Any

_STUFFED = re.compile(rb"(?m)^\.")
"""RFC 5321 §4.5.2: the receiver takes the first dot of every line, whether the sender has put one there or not."""


@dataclass
class SmtpSink:
    """`faults`: verb → what to answer there instead (`451 later`), or `reset`, `silent`. Octets that are no UTF-8 are
    written as surrogates.

    Verbs: connect, EHLO, AUTH, MAIL, RCPT, DATA, half (after a first piece of the mail), dot (after the mail has come,
    not kept), stored (after it was kept).
    """

    faults: dict[str, str] = field(default_factory=dict)
    tls: ssl.SSLContext | None = None
    """Spoken from the first byte."""
    slow_s: float = 0.0
    """A rest before each piece of a mail is read."""
    extensions: tuple[str, ...] = ()
    """What EHLO offers. Without SMTPUTF8 nothing but ASCII is taken in addresses and header fields."""
    refused: dict[str, str] = field(default_factory=dict)
    """Recipient → what RCPT is answered for it."""
    senders: dict[str, str] = field(default_factory=dict)
    """Return path → what MAIL is answered for it."""
    rcpt_s: float = 0.0
    """What RCPT takes."""
    mails: list[tuple[str, list[str], bytes]] = field(default_factory=list)
    port: int = 0
    attempts: int = 0
    reached: set[str] = field(default_factory=set)
    """The verbs at which a fault was played."""
    talking_of: "dict[asyncio.Task[None], str]" = field(default_factory=dict)
    """Session → the last recipient that it was told."""
    _server: asyncio.Server | None = None
    _sessions: set["asyncio.Task[None]"] = field(default_factory=set)

    async def __aenter__(self) -> "SmtpSink":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=2**26, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for session in self._sessions:
            session.cancel()
        await asyncio.gather(*self._sessions, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.attempts += 1
        task = asyncio.current_task()
        assert task is not None
        self._sessions.add(task)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError, _End):
                await self._session(reader, writer)
        finally:
            writer.close()
            self._sessions.discard(task)
            self.talking_of.pop(task, None)

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._answer(writer, "connect", "220 sink")
        sender, utf8 = "", False
        recipients: list[str] = []
        while line := await reader.readline():
            words = line.decode("utf-8", "surrogateescape").strip()
            verb = words.split(" ")[0].upper()
            address = words.partition("<")[2].partition(">")[0]
            match verb:
                case "EHLO" | "HELO":
                    lines = ["sink", *self.extensions]
                    offer = [f"250-{each}" for each in lines[:-1]] + [f"250 {lines[-1]}"]
                    await self._answer(writer, "EHLO", "\r\n".join(offer))
                case "AUTH":
                    await self._answer(writer, "AUTH", "235 in")
                case "MAIL":
                    recipients, sender = [], address
                    utf8 = words.endswith(" SMTPUTF8")
                    fits = "SMTPUTF8" in self.extensions if utf8 else address.isascii()
                    usual = self.senders.get(sender, "250 ok" if fits else "555 5.6.7 SMTPUTF8")
                    await self._answer(writer, "MAIL", usual)
                case "RCPT":
                    recipients.append(address)
                    if task := asyncio.current_task():
                        self.talking_of[task] = recipients[-1]
                    usual = "250 ok" if utf8 or address.isascii() else "553 5.6.7 SMTPUTF8"
                    await asyncio.sleep(self.rcpt_s)
                    await self._answer(writer, "RCPT", self.refused.get(address, usual))
                case "DATA":
                    await self._answer(writer, "DATA", "354 go on")
                    if "DATA" in self.faults:
                        continue
                    if "half" in self.faults:
                        await reader.read(1000)
                        writer.transport.pause_reading()  # type: ignore[attr-defined]
                        await self._answer(writer, "half", "")
                        await reader.read()
                        return
                    brake = asyncio.create_task(self._brake(writer.transport))
                    try:
                        mail = await reader.readuntil(b"\r\n.\r\n")
                    finally:
                        brake.cancel()
                    if not (utf8 or mail[: mail.find(b"\r\n\r\n")].isascii()):
                        await self._answer(writer, "dot", "554 5.6.7 SMTPUTF8")
                        continue
                    if "dot" in self.faults:
                        await self._answer(writer, "dot", "250 kept")
                        continue
                    self.mails.append((sender, list(recipients), _STUFFED.sub(b"", mail[:-5])))
                    await self._answer(writer, "stored", "250 kept")
                case "QUIT":
                    await self._answer(writer, "QUIT", "221 bye")
                    await writer.drain()
                    return
                case _:
                    await self._answer(writer, verb, "250 ok")

    async def _brake(self, transport: Any) -> None:
        """Let a mail in by pieces of at most 256 KiB."""
        if self.slow_s:
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**16)
        while self.slow_s:
            transport.pause_reading()
            await asyncio.sleep(self.slow_s)
            transport.resume_reading()
            for _ in range(2):  # the loop looks, and reads
                await asyncio.sleep(0)

    async def _answer(self, writer: asyncio.StreamWriter, verb: str, usual: str) -> None:
        fault = self.faults.get(verb, usual)
        if fault != usual:
            self.reached.add(verb)
        if fault == "reset":
            writer.transport.abort()
            raise _End
        if fault == "silent":
            await asyncio.sleep(3600)
        writer.write(fault.encode(errors="surrogateescape") + b"\r\n")
        await writer.drain()


class _End(Exception):
    pass
