"""The customers at their own programs: real SMTP, WebSocket, HTTP and CSV. Each notes when it has read its answer."""

import asyncio
import csv
import io
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import formatdate
from pathlib import Path
from typing import Any

import aiohttp
import aiosmtplib

from switchboard.demo.cast import SHOP, Customer
from switchboard.demo.mail import CustomersMailServer

PATIENCE_S = 90.0
RETRY_S = 0.3


@dataclass
class Town:
    """Where the customers live: how they reach the shop."""

    http: str
    smtp_port: int
    calls: Path
    mail: CustomersMailServer
    written: set[int] = field(default_factory=set)
    """Numbers of customers whose contact has been accepted."""
    acknowledged: set[int] = field(default_factory=set)
    """Who read that their contact has arrived."""
    read: dict[int, str] = field(default_factory=dict)
    """Number → the answer that the customer read, by the customer's own channel."""
    doubled: list[int] = field(default_factory=list)
    """Who got the same reply twice."""


def message_id(customer: Customer) -> str:
    return f"demo-{customer.number}@customer.example"


def mail_of(customer: Customer) -> tuple[str, bytes]:
    """(envelope sender, the mail's bytes)."""
    if customer.kind == "broken":
        broken = b"From: bruno <%b>\nSubject: =?utf-9?B?4pyo?= \xff\xfe\nContent-Type: multipart/mixed; boundary=\n\n"
        return customer.address, broken % customer.address.encode() + b"--\xe9\xff I paid twice, please help \xff\n"
    message = EmailMessage()
    message["From"] = f"{customer.name} <{customer.address}>"
    message["To"] = SHOP
    message["Subject"] = customer.subject
    message["Date"] = formatdate()
    message["Message-ID"] = f"<{message_id(customer)}>"
    sender = customer.address
    if customer.kind == "out_of_office":
        message["Auto-Submitted"] = "auto-replied"
    if customer.kind == "bounce":
        sender = ""
        message["Auto-Submitted"] = "auto-generated"
    if customer.kind == "stranger":
        message["References"] = "<demo-10@customer.example>"
        message["In-Reply-To"] = "<demo-10@customer.example>"
    message.set_content(customer.text)
    return sender, message.as_bytes()


async def play(
    customer: Customer,
    town: Town,
    session: aiohttp.ClientSession,
    patience_s: float = PATIENCE_S,
    *,
    stays: bool = False,
) -> None:
    """Write in, and wait for the answer until patience runs out. `stays`: a visitor leaves the chat open afterwards, so
    that an acknowledgement which was lost on the way is asked for again."""
    async with asyncio.timeout(patience_s):
        match customer.channel:
            case "email":
                await _mail(customer, town)
            case "chat":
                await _chat(customer, town, session, stays=stays)
            case "web_form":
                await _form(customer, town, session)
            case "phone_log":
                pass  # the telephone system writes one file for all calls: see `write_calls`


async def _mail(customer: Customer, town: Town) -> None:
    sender, raw = mail_of(customer)
    for _ in range(2 if customer.kind == "duplicate" else 1):
        await _submit(sender, raw, town)
    town.written.add(customer.number)
    if not customer.due:
        return
    while customer.number not in town.read:
        mails = town.mail.mailboxes.get(customer.address, [])
        ids = [mail["Message-ID"] for mail in mails]
        if len(ids) != len(set(ids)) and customer.number not in town.doubled:
            town.doubled.append(customer.number)
        for mail in mails:
            town.acknowledged.add(customer.number)
            body = mail.get_body(("plain",))
            text = body.get_content() if body else ""
            # An acknowledgement is automatic and promises a person; the answer that is due comes from one,
            # or it is the automatic answer to a question that needs nobody.
            if mail["Auto-Submitted"] is None or _answers(customer, text):
                town.read[customer.number] = text
        await asyncio.sleep(RETRY_S)


async def _submit(sender: str, raw: bytes, town: Town) -> None:
    while True:  # as any mail server does: what is not accepted is tried again
        try:
            async with asyncio.timeout(20):
                client = aiosmtplib.SMTP(hostname="127.0.0.1", port=town.smtp_port, timeout=15, start_tls=False)
                async with client:
                    await client.sendmail(sender, [SHOP], raw)
            return
        except (OSError, TimeoutError, aiosmtplib.SMTPException):
            await asyncio.sleep(RETRY_S)


def _answers(customer: Customer, text: str) -> bool:
    """Whether a text from the machine answers what was asked, for good."""
    hours = ("opening hours", "Öffnungszeiten", "geöffnet", "horaires", "horario")
    written = f"{customer.subject} {customer.text}".lower()
    if "password" in written:
        return "set a new password" in text
    asked = any(word.lower() in written for word in hours)
    return asked and any(digit in text for digit in "0123456789") and ":" in text


async def _chat(customer: Customer, town: Town, session: aiohttp.ClientSession, *, stays: bool) -> None:
    token: str | None = None
    message = {"type": "message", "id": uuid.uuid4().hex, "text": customer.text}
    seen: dict[str, str] = {}
    url = town.http.replace("http", "ws", 1) + "/chat/website/ws"
    while stays or customer.number not in town.read:
        try:
            async with session.ws_connect(url, heartbeat=10, origin=town.http) as socket:
                await socket.send_json({"type": "hello", "session": token} if token else {"type": "hello"})
                async for frame in socket:
                    if frame.type is not aiohttp.WSMsgType.TEXT:
                        break
                    event = frame.json()
                    match event["type"]:
                        case "welcome":
                            token = event["session"]
                            if customer.number not in town.written:
                                await socket.send_json(message)
                        case "accepted":
                            town.written.add(customer.number)
                        case "busy":
                            await asyncio.sleep(RETRY_S)
                            await socket.send_json(message)
                        case "reply":
                            _replied(customer, town, seen, event)
                            await socket.send_json({"type": "ack", "id": event["id"]})
                    if customer.number in town.read and not stays:
                        break
        except (aiohttp.ClientError, OSError):
            pass
        await asyncio.sleep(RETRY_S)


def _replied(customer: Customer, town: Town, seen: dict[str, str], event: Mapping[str, Any]) -> None:
    town.acknowledged.add(customer.number)
    if event["id"] in seen:  # resent because our acknowledgement was lost: a program shows it once
        return
    if event["text"] in seen.values():
        town.doubled.append(customer.number)
    seen[event["id"]] = event["text"]
    author = event.get("author") or {}
    kind = author.get("kind") if isinstance(author, dict) else author
    if kind == "agent" or _answers(customer, event["text"]):
        town.read[customer.number] = event["text"]


async def _form(customer: Customer, town: Town, session: aiohttp.ClientSession) -> None:
    key = uuid.uuid4().hex
    fields = {"name": customer.name, "email": customer.address, "message": customer.text}
    receipt: dict[str, Any] = {}
    while not receipt:
        try:
            headers = {"Idempotency-Key": key, "Accept": "application/json"}
            if customer.number % 2:
                answer = session.post(f"{town.http}/forms/contact", json=fields, headers=headers)
            else:
                answer = session.post(f"{town.http}/forms/contact", data=fields, headers=headers)
            async with answer as response:
                if response.status in (200, 201, 202):
                    receipt = await response.json()
                    town.written.add(customer.number)
                    break
        except (aiohttp.ClientError, OSError):
            pass
        await asyncio.sleep(RETRY_S)
    while customer.number not in town.read:
        try:
            async with session.get(receipt["status_url"], headers={"Accept": "application/json"}) as response:
                page = await response.json()
            for reply in page.get("answers", []):
                town.acknowledged.add(customer.number)
                if not reply.get("automatic"):
                    town.read[customer.number] = reply["text"]
        except (aiohttp.ClientError, OSError):
            pass
        await asyncio.sleep(RETRY_S)


async def write_calls(callers: list[Customer], town: Town) -> None:
    """The telephone system drops its log: written beside, then renamed in, so that it is never read half."""
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(["call_id", "started_at", "caller", "callee", "direction", "disposition", "duration_s", "notes"])
    from datetime import UTC, datetime

    now = datetime.now(UTC).isoformat()
    for caller in callers:
        number = f"+4930901820{caller.number:02d}"
        rows.writerow([f"call-{caller.number}", now, number, "+4930123456", "inbound", "no-answer", 0, caller.text])
    partial = town.calls / "calls.csv.part"
    await asyncio.to_thread(partial.write_text, text.getvalue(), "utf-8")
    await asyncio.to_thread(partial.rename, town.calls / "calls.csv")
    town.written.update(caller.number for caller in callers)
