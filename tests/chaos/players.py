"""Customers at their own programs. They behave as real clients do: what was not acknowledged is sent again, under the
same id, until it is; whatever may or may not have arrived is noted as `info`."""

import asyncio
import csv
import io
import random
from collections.abc import Sequence
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Any

import aiohttp
import aiosmtplib

from switchboard.demo.cast import SHOP
from tests.chaos.script import AWAY, Customer, Message
from tests.chaos.town import Town
from tests.kit.history import Call

RETRY_S = 0.4
PATIENCE_S = 20.0
TIMEOUT_S = 10.0
HTTP_TIMEOUT = aiohttp.ClientTimeout(total=10)
BROKEN = (aiohttp.ClientError, aiosmtplib.SMTPException, OSError, TimeoutError, ValueError)


class Player:
    """What all customers share."""

    def __init__(self, customer: Customer, town: Town, session: aiohttp.ClientSession) -> None:
        self.customer = customer
        self.town = town
        self.session = session
        self.dice = random.Random(customer.dice)
        self.headers = {"X-Forwarded-For": f"10.{customer.dice >> 16 & 255}.{customer.dice >> 8 & 255}.1"}

    def invoke(self, message: Message) -> Call:
        c = self.customer
        return self.town.history.invoke(
            c.name, "write", message.id, channel=c.channel, thread=c.name, expect=message.expect
        )

    async def pause(self) -> None:
        await asyncio.sleep(RETRY_S * self.dice.uniform(0.5, 2.0))

    def see(self, reply: dict[str, Any], via: str) -> None:
        self.town.history.note(
            self.customer.name, "see", "ok", reply["id"], via=via, automatic=reply["automatic"], text=reply["text"]
        )


class Mailer(Player):
    """Writes mails by way of a mail server that keeps its connections."""

    async def play(self, carriers: "Carriers") -> None:
        sent: list[str] = []
        for message in self.customer.messages:
            await asyncio.sleep(message.pause)
            answer = await self._read() if self.customer.patient and sent else ""
            raw = self._mail(message, sent, answer)
            for _ in range(2 if message.copy else 1):
                await carriers.submit(self, message, self._sender(message), raw)
            sent.append(message.id)

    def _sender(self, message: Message) -> str:
        return self.customer.address

    def _mail(self, message: Message, sent: Sequence[str], answer: str) -> bytes:
        mail = EmailMessage()
        mail["From"] = self.customer.address
        mail["To"] = SHOP
        mail["Subject"] = "A question" if not sent else "Re: A question"
        mail["Message-ID"] = f"<{message.id}>"
        references = [*sent, *([answer] if answer else [])]
        if references:
            mail["References"] = " ".join(f"<{id_}>" for id_ in references)
            mail["In-Reply-To"] = f"<{references[-1]}>"
        if message.text == AWAY:
            mail["Auto-Submitted"] = "auto-replied"
        mail.set_content(message.text)
        return mail.as_bytes()

    async def _read(self) -> str:
        """The latest answer of a person, if one comes in time."""
        box = self.town.mail.boxes[self.customer.name]
        for _ in range(20):
            if box:
                return box[-1]
            await asyncio.sleep(0.5)
        return ""


class Carriers:
    """A mail server's outgoing connections: kept open, thrown away when they break."""

    def __init__(self, town: Town, seed: int) -> None:
        self._town = town
        self._dice = random.Random(seed)
        self._idle: list[aiosmtplib.SMTP] = []

    async def submit(self, player: Mailer, message: Message, sender: str, raw: bytes) -> None:
        """Until somebody has said 250."""
        while True:
            call = player.invoke(message)
            try:
                async with asyncio.timeout(TIMEOUT_S * 2):
                    client = await self._connection()
                    try:
                        await client.sendmail(sender, [SHOP], raw)
                    except BaseException:
                        client.close()
                        raise
                self._idle.append(client)
            except BROKEN as error:
                call.info(error=f"{type(error).__name__}: {error}"[:100])
                await player.pause()
            else:
                self._town.taken(call, message.id)
                return

    async def _connection(self) -> aiosmtplib.SMTP:
        while self._idle:
            client = self._idle.pop()
            if client.is_connected:
                return client
        port = self._dice.choice(self._town.smtp)
        client = aiosmtplib.SMTP(hostname="127.0.0.1", port=port, timeout=TIMEOUT_S, start_tls=False)
        await client.connect()
        return client

    def close(self) -> None:
        for client in self._idle:
            client.close()


class Chatter(Player):
    """Holds a socket until the last message is answered; a lost one is opened anew, with the same session."""

    def __init__(self, customer: Customer, town: Town, session: aiohttp.ClientSession) -> None:
        super().__init__(customer, town, session)
        self._next = 0
        self._again = False
        self._call: Call | None = None
        self._last_seq = 0
        self._through = 0
        self._seen: set[str] = set()
        self._visit = False
        self._end: float | None = None
        """When patience is over: counted from the moment when all is written."""
        self._limit: asyncio.Timeout

    async def play(self) -> None:
        """Until the last message is answered, or patience has run out since it was accepted."""
        while not self._satisfied() and not self._gone():
            await self._connect()
            if not self._satisfied():
                await self.pause()

    async def come_back(self, seconds: float) -> None:
        """Look in once more for what may have been missed."""
        self._next, self._visit = len(self.customer.messages), True
        self._end = asyncio.get_running_loop().time() + seconds
        await self._connect()

    def _gone(self) -> bool:
        return self._end is not None and asyncio.get_running_loop().time() > self._end

    def _satisfied(self) -> bool:
        if self._next < len(self.customer.messages) or self._visit:
            return False
        return self._through >= self._last_seq or (self.customer.asks_a_machine and bool(self._seen))

    async def _connect(self) -> None:
        try:
            async with asyncio.timeout_at(self._end) as self._limit, await self._open() as socket:
                token = self.town.sessions.get(self.customer.name)
                await socket.send_json({"type": "hello", **({"session": token} if token else {})})
                async for frame in socket:
                    if frame.type is not aiohttp.WSMsgType.TEXT:
                        break
                    await self._handle(socket, frame.json())
                    if self._satisfied():
                        break
        except BROKEN:
            pass
        if self._call is not None:
            self._call.info(error="the socket is gone")
            self._call = None

    async def _open(self) -> aiohttp.ClientWebSocketResponse:
        base = self.town.door(self.dice)
        url = base.replace("http", "ws", 1) + "/chat/website/ws"
        async with asyncio.timeout(TIMEOUT_S):
            return await self.session.ws_connect(
                url, heartbeat=5, origin=base, timeout=aiohttp.ClientWSTimeout(ws_close=1.0)
            )

    async def _handle(self, socket: aiohttp.ClientWebSocketResponse, event: dict[str, Any]) -> None:
        match event["type"]:
            case "welcome":
                self.town.sessions[self.customer.name] = event["session"]
                for line in event["history"]:
                    if line["type"] == "reply":
                        self._show(line)
                await self._send(socket)
            case "accepted":
                await self._accepted(socket, event)
            case "busy" if self._call is not None:
                self._call.info(error="busy")
                self._call = None
                await self.pause()
                await self._send(socket)
            case "reply":
                self._show(event)
                await socket.send_json({"type": "ack", "id": event["id"]})

    async def _send(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        if self._call is None and self._next < len(self.customer.messages):
            message = self.customer.messages[self._next]
            self._call = self.invoke(message)
            await socket.send_json({"type": "message", "id": message.id, "text": message.text})

    async def _accepted(self, socket: aiohttp.ClientWebSocketResponse, event: dict[str, Any]) -> None:
        message = self.customer.messages[self._next] if self._next < len(self.customer.messages) else None
        if self._call is None or message is None or event["id"] != message.id:
            return
        self.town.taken(self._call, message.id, seq=event["seq"], reference=event["reference"])
        self._call = None
        self._last_seq = max(self._last_seq, event["seq"])
        if message.copy and not self._again:
            self._again = True  # as a program does that has overlooked the answer
        else:
            self._again, self._next = False, self._next + 1
            if self._next < len(self.customer.messages):
                await asyncio.sleep(self.customer.messages[self._next].pause)
            else:
                self._end = asyncio.get_running_loop().time() + PATIENCE_S
                self._limit.reschedule(self._end)
        await self._send(socket)

    def _show(self, reply: dict[str, Any]) -> None:
        if reply["id"] in self._seen:
            return  # a program shows it once
        self._seen.add(reply["id"])
        self.see(reply, "socket")
        self._through = max(self._through, through_of(reply["text"]))


def through_of(text: str) -> int:
    """Up to which message an agent says to have answered."""
    tail = text.rpartition("through=")[2]
    return int(tail) if tail.isdecimal() else 0


class FormFiller(Player):
    """Submits a form, and looks at its page now and then."""

    async def play(self) -> None:
        message = self.customer.messages[0]
        for _ in range(2 if message.copy else 1):
            await self._submit(message)
        for wait in (3.0, 8.0):
            await asyncio.sleep(wait * self.dice.uniform(0.7, 1.3))
            if await self.look():
                return

    async def _submit(self, message: Message) -> None:
        fields = {"name": self.customer.name, "email": self.customer.address, "message": message.text}
        headers = {"Idempotency-Key": message.id, "Accept": "application/json", **self.headers}
        kind = self.dice.choice(("json", "data"))
        while True:
            call = self.invoke(message)
            try:
                async with self.session.post(
                    f"{self.town.door(self.dice)}/forms/contact",
                    **{kind: fields},
                    headers=headers,
                    timeout=HTTP_TIMEOUT,
                ) as response:
                    if response.status == 201:
                        receipt = await response.json()
                        path = receipt["status_url"].partition("/forms/")[2]
                        self.town.pages[self.customer.name] = f"/forms/{path}"
                        self.town.taken(call, message.id)
                        return
                    if response.status == 429:
                        call.fail(error="429")
                    else:
                        call.info(error=str(response.status))
            except BROKEN as error:
                call.info(error=type(error).__name__)
            await self.pause()

    async def look(self) -> bool:
        """Read the status page. True if a person's answer is there."""
        path = self.town.pages.get(self.customer.name)
        if path is None:
            return False
        try:
            async with self.session.get(
                self.town.door(self.dice) + path, headers={"Accept": "application/json"}, timeout=HTTP_TIMEOUT
            ) as response:
                if response.status != 200:
                    return False
                page = await response.json()
        except BROKEN:
            return False
        for answer in page["answers"]:
            self.see(answer, "page")
        return any(not answer["automatic"] for answer in page["answers"])


class TelephoneSystem:
    """Drops its log into the folder, a few calls at a time. A file that has moved to done/ has been taken."""

    COLUMNS = ("call_id", "started_at", "caller", "callee", "direction", "disposition", "duration_s", "notes")

    def __init__(self, callers: Sequence[Customer], town: Town) -> None:
        self._callers, self._town = callers, town

    async def play(self, batch: int = 10, every_s: float = 1.0) -> None:
        again: list[Customer] = []
        files = []
        for number, start in enumerate(range(0, len(self._callers), batch)):
            some = [*self._callers[start : start + batch], *again]
            again = [c for c in self._callers[start : start + batch] if c.messages[0].copy]
            files.append(asyncio.create_task(self._drop(f"calls-{number:05}.csv", some)))
            await asyncio.sleep(every_s)
        await asyncio.gather(*files)

    async def _drop(self, name: str, callers: Sequence[Customer]) -> None:
        text = io.StringIO()
        rows = csv.writer(text)
        rows.writerow(self.COLUMNS)
        for caller in callers:
            # The same call is the same row, whenever it is written.
            started = datetime(2026, 1, 1, tzinfo=UTC).replace(minute=caller.dice % 60).isoformat()
            number = f"+4930{caller.dice % 10**7:07}"
            message = caller.messages[0]
            rows.writerow([message.id, started, number, "+4930123456", "inbound", "no-answer", 0, message.text])
        calls = [
            self._town.history.invoke(
                c.name, "write", c.messages[0].id, channel="phone_log", thread=c.name, expect="call"
            )
            for c in callers
        ]
        partial = self._town.calls / f"{name}.part"
        partial.write_text(text.getvalue(), "utf-8")
        partial.rename(self._town.calls / name)
        done = self._town.calls / "done" / name
        while not done.exists():
            await asyncio.sleep(0.25)
        for caller, call in zip(callers, calls, strict=True):
            self._town.taken(call, caller.messages[0].id)
