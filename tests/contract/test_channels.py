"""Each channel through its real door: SMTP, WebSocket, HTTP, a folder."""

import asyncio
import contextlib
import io
import smtplib
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import aiohttp
import aiosmtplib
import pytest
from sqlalchemy import select

from schemas import limits
from store.tables import interactions
from tests.contract.channel_contract import ChannelContract
from tests.kit.edge import Edge, edge

MAIL = (
    "From: Ann <ann@example.org>\r\nTo: help@shop.example\r\nSubject: Hi\r\n"
    "Message-ID: <{key}@example.org>\r\n\r\n{text}\r\n"
)


class EmailDoor:
    name = "email"

    def __init__(self, found: Edge) -> None:
        self.edge = found
        self.port = found.parts["email"].inbound[1].port  # type: ignore[attr-defined]

    async def _send(self, raw: bytes, to: str = "help@shop.example") -> None:
        client = aiosmtplib.SMTP(hostname="127.0.0.1", port=self.port, timeout=10, start_tls=False)
        async with client:
            await client.sendmail("ann@example.org", [to], raw)

    async def send(self, key: str, text: str) -> bool:
        try:
            await self._send(MAIL.format(key=key, text=text).encode())
        except aiosmtplib.SMTPDataError as error:
            assert 400 <= error.code < 500, "the sender has to try again"
            return False
        return True

    async def hurl(self, data: bytes) -> None:
        with contextlib.suppress(aiosmtplib.SMTPException, ConnectionError):
            await self._send(data)
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(data + b"\r\nQUIT\r\n")
        with contextlib.suppress(ConnectionError):
            await reader.read(10_000)
        writer.close()

    async def oversize(self) -> bool:
        with pytest.raises(aiosmtplib.SMTPException) as refused:
            await self._send(MAIL.format(key="big", text="x" * 200_000).encode())
        return "552" in str(refused.value)


class TestEmail(ChannelContract):
    @pytest.fixture
    async def door(self, tmp_path: Path) -> AsyncIterator[EmailDoor]:
        async with edge(tmp_path, {"email": {"help": {"address": "help@shop.example"}}}) as found:
            yield EmailDoor(found)

    async def test_an_unknown_recipient_is_refused_and_counted(self, door: EmailDoor) -> None:
        with pytest.raises(aiosmtplib.SMTPRecipientsRefused):
            await door._send(MAIL.format(key="x", text="x").encode(), "nobody@shop.example")
        total = (await door.edge.balance()).total
        assert (total.accepted, total.refused) == (0, 1)

    async def test_a_body_line_over_a_thousand_octets_is_taken(self, door: EmailDoor) -> None:
        assert await door.send("long", "x" * 50_000)

    async def test_postmaster_can_always_be_reached(self, door: EmailDoor) -> None:
        await door._send(MAIL.format(key="p", text="x").encode(), "Postmaster@shop.example")
        assert await door.edge.accepted("email") == 1

    async def test_the_announced_size_is_refused_before_the_mail_comes(self, door: EmailDoor) -> None:
        def talk() -> int:
            with smtplib.SMTP("127.0.0.1", door.port, timeout=10) as client:
                client.ehlo("me")
                return client.mail("a@example.org", ["SIZE=200000"])[0]

        assert await asyncio.to_thread(talk) == 552

    async def test_lines_longer_than_the_standard_allows_are_taken(self, door: EmailDoor) -> None:
        async def talk() -> bytes:
            reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
            writer.write(b"EHLO x\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<help@shop.example>\r\nDATA\r\n")
            writer.write(b"From: a@example.org\r\n\r\n" + b"x" * 50_000 + b"\r\n.\r\nQUIT\r\n")
            answer = await reader.read(100_000)
            while more := await reader.read(100_000):
                answer += more
            writer.close()
            return answer

        async with asyncio.timeout(10):
            assert b"250 2.0.0 Accepted" in await talk()

    async def test_no_mail_is_parsed_in_our_own_process(self, door: EmailDoor) -> None:
        reader = door.edge.parts["email"].inbound[0]
        await reader.workers.drain()  # type: ignore[attr-defined]
        assert not await door.send("key", "words"), "the sender has to try again"


@pytest.mark.parametrize("fate", ["hang", "crash", "fail"])
async def test_a_mail_that_the_parser_does_not_survive_is_accepted_for_a_person(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fate: str
) -> None:
    monkeypatch.setattr("channels.email.reading.TARGET", f"tests.kit.parsers:{fate}")
    monkeypatch.setattr(limits, "PARSE_TIMEOUT", timedelta(seconds=0.5))
    async with edge(tmp_path, {"email": {"help": {"address": "help@shop.example"}}}) as found:
        door = EmailDoor(found)
        assert await door.send("one", "POISON")
        assert await door.send("two", "friendly words")
        assert (await found.balance()).total.states == {"received": 2}
        kept = await found.database.read(lambda conn: conn.execute(select(interactions.c.body)).scalars().all())
        assert sorted(body["flags"] for body in kept) == [[], ["unparsed"]]
        assert all(body["sender"]["address"] == "ann@example.org" for body in kept)


class ChatDoor:
    name = "chat"

    def __init__(self, found: Edge) -> None:
        self.edge = found
        self.token: str | None = None

    @contextlib.asynccontextmanager
    async def socket(self, origin: str | None = None) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        url = self.edge.http.url.replace("http", "ws", 1) + "/chat/website/ws"
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(url, origin=origin, timeout=aiohttp.ClientWSTimeout(ws_close=2)) as socket,
        ):
            yield socket

    async def send(self, key: str, text: str) -> bool:
        async with self.socket() as socket:
            await socket.send_json({"type": "hello", "session": self.token})
            welcome = await socket.receive_json(timeout=5)
            self.token = welcome["session"]
            await socket.send_json({"type": "message", "id": key, "text": text})
            answer = await socket.receive_json(timeout=5)
            while answer["type"] == "reply":
                answer = await socket.receive_json(timeout=5)
            assert answer["id"] == key
            return bool(answer["type"] == "accepted")

    async def hurl(self, data: bytes) -> None:
        async with self.socket() as socket:
            await socket.send_json({"type": "hello"})
            await socket.receive_json(timeout=5)
            for _ in range(3):
                await socket.send_bytes(data)
                assert (await socket.receive_json(timeout=5))["type"] == "error"

    async def oversize(self) -> bool:
        async with self.socket() as socket:
            await socket.send_json({"type": "hello"})
            await socket.receive_json(timeout=5)
            await socket.send_json({"type": "message", "id": "big", "text": "x" * 20_000})
            return bool((await socket.receive_json(timeout=5))["type"] == "error")


class TestChat(ChannelContract):
    @pytest.fixture
    async def door(self, tmp_path: Path) -> AsyncIterator[ChatDoor]:
        settings = {"origins": ["https://www.example.com"], "messages_per_second": 100, "burst": 100}
        async with edge(tmp_path, {"chat": {"website": settings}}) as found:
            yield ChatDoor(found)

    async def test_another_website_may_not_open_the_chat(self, door: ChatDoor) -> None:
        async with door.socket("https://www.example.com") as socket:
            await socket.send_json({"type": "hello"})
            assert (await socket.receive_json(timeout=5))["type"] == "welcome"
        with pytest.raises(aiohttp.WSServerHandshakeError):
            async with door.socket("https://evil.example"):
                pass

    async def test_a_forged_session_becomes_a_new_one(self, door: ChatDoor) -> None:
        assert await door.send("one", "mine")
        mine = door.token
        for forged in ("nonsense", mine[:-2] + "xx" if mine else "", "e30.e30"):
            async with door.socket() as socket:
                await socket.send_json({"type": "hello", "session": forged})
                welcome = await socket.receive_json(timeout=5)
                assert welcome["history"] == []

    async def test_a_visitor_who_comes_back_sees_their_conversation(self, door: ChatDoor) -> None:
        assert await door.send("one", "first words")
        async with door.socket() as socket:
            await socket.send_json({"type": "hello", "session": door.token})
            history = (await socket.receive_json(timeout=5))["history"]
        assert [line["text"] for line in history] == ["first words"]

    async def test_whoever_does_not_stop_sending_nonsense_is_cut_off(self, door: ChatDoor) -> None:
        async with door.socket() as socket:
            await socket.send_json({"type": "hello"})
            for _ in range(40):
                with contextlib.suppress(ConnectionError, aiohttp.ClientError):
                    await socket.send_str("nonsense")
            while True:
                frame = await socket.receive(timeout=5)
                if frame.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED):
                    break
        assert socket.close_code == 1008


class FormDoor:
    name = "web_form"

    def __init__(self, found: Edge) -> None:
        self.edge = found
        self.url = f"{found.http.url}/forms/contact"

    async def post(self, **how: object) -> tuple[int, object]:
        async with aiohttp.ClientSession() as session, session.post(self.url, **how) as response:  # type: ignore[arg-type]
            body = await response.json() if "json" in response.content_type else await response.text()
            return response.status, body

    async def send(self, key: str, text: str) -> bool:
        status, _ = await self.post(json={"message": text}, headers={"Idempotency-Key": key})
        assert status in (201, 503)
        return status == 201

    async def hurl(self, data: bytes) -> None:
        for kind in ("application/json", "application/x-www-form-urlencoded", "text/plain", "nonsense"):
            status, _ = await self.post(data=data, headers={"Content-Type": kind})
            assert 400 <= status < 500

    async def oversize(self) -> bool:
        status, body = await self.post(json={"message": "x" * 9000})
        big, _ = await self.post(data=io.BytesIO(b"x" * 3_000_000), headers={"Content-Type": "application/json"})
        return status == 422 and "message" in body["fields"] and big == 413  # type: ignore[index, call-overload]


class TestWebForm(ChannelContract):
    @pytest.fixture
    async def door(self, tmp_path: Path) -> AsyncIterator[FormDoor]:
        async with edge(tmp_path, {"web_form": {"contact": {}}}) as found:
            yield FormDoor(found)

    async def test_json_and_urlencoded_give_the_same(self, door: FormDoor) -> None:
        one = await door.post(json={"name": "Zoë", "message": "hi"}, headers={"Idempotency-Key": "k"})
        two = await door.post(data={"name": "Zoë", "message": "hi"}, headers={"Idempotency-Key": "k"})
        assert one[1]["reference"] == two[1]["reference"]  # type: ignore[index]
        assert two[1]["copy"]  # type: ignore[index]

    async def test_every_mistake_is_named_with_its_field(self, door: FormDoor) -> None:
        status, body = await door.post(json={"email": "no address", "extra": "x", "name": 7})
        assert status == 422
        assert set(body["fields"]) == {"email", "extra", "name", "message"}  # type: ignore[index, call-overload]
        assert (await door.edge.balance()).total.refused == 1

    async def test_the_status_link_cannot_be_guessed_or_changed(self, door: FormDoor) -> None:
        _, body = await door.post(json={"message": "secret words"})
        token = body["status_url"].rpartition("/")[2]  # type: ignore[index, call-overload]
        async with aiohttp.ClientSession() as session:
            for forged in (token[:-3] + "AAA", "x" * 40, token[5:]):
                async with session.get(f"{door.edge.http.url}/forms/status/{forged}") as response:
                    assert response.status == 404
            async with session.get(f"{door.edge.http.url}/forms/status/{token}") as response:
                assert (await response.json())["messages"][0]["text"] == "secret words"

    async def test_a_stranger_who_uses_the_same_key_gets_a_conversation_of_their_own(self, door: FormDoor) -> None:
        _, mine = await door.post(json={"message": "secret words", "_key": "1"})
        _, theirs = await door.post(json={"message": "other words", "_key": "1"})
        assert theirs["reference"] != mine["reference"]  # type: ignore[index, call-overload]
        token = theirs["status_url"].rpartition("/")[2]  # type: ignore[index, call-overload]
        url = f"{door.edge.http.url}/forms/status/{token}"
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            assert [m["text"] for m in (await response.json())["messages"]] == ["other words"]

    async def test_a_key_header_that_was_used_for_other_words_is_refused(self, door: FormDoor) -> None:
        key = {"Idempotency-Key": "k-1"}
        _, first = await door.post(json={"message": "my words"}, headers=key)
        status, body = await door.post(json={"message": "other words"}, headers=key)
        assert (status, body["code"]) == (422, "idempotency-key-reused")  # type: ignore[index, call-overload]
        status, again = await door.post(json={"message": "my words"}, headers=key)
        assert (status, again["reference"]) == (201, first["reference"])  # type: ignore[index, call-overload]
        total = (await door.edge.balance()).total
        assert (total.accepted, total.copies, total.refused) == (1, 1, 1)

    async def test_a_key_that_is_no_key_is_as_good_as_none(self, door: FormDoor) -> None:
        for key in ("\x00", " ", "\u2028", "x" * 5000):
            status, _ = await door.post(json={"message": f"words {key!r}", "_key": key})
            assert status == 201
        status, _ = await door.post(json={"message": "more words", "_key": {"a": ["list"]}})
        assert status == 201

    async def test_what_a_customer_writes_is_never_markup_on_our_pages(self, door: FormDoor) -> None:
        _, body = await door.post(json={"message": "<img src=x onerror=alert(1)>"})
        token = body["status_url"].rpartition("/")[2]  # type: ignore[index, call-overload]
        async with aiohttp.ClientSession(headers={"Accept": "text/html"}) as session:
            async with session.get(f"{door.edge.http.url}/forms/status/{token}") as response:
                assert "<img" not in await response.text()
            async with session.post(door.url, data={"name": '"><script>'}) as response:
                assert response.status == 422
                assert "<script>" not in (await response.text()).replace('<script type="module"', "")


class PhoneDoor:
    name = "phone_log"

    def __init__(self, found: Edge, folder: Path) -> None:
        self.edge = found
        self.folder = folder
        self.files = 0

    async def _drop(self, data: bytes, wait: float) -> bool:
        self.files += 1
        name = f"{self.files}.csv"
        (self.folder / f"{name}.part").write_bytes(data)
        (self.folder / f"{name}.part").rename(self.folder / name)
        try:
            async with asyncio.timeout(wait):
                while (self.folder / name).exists():
                    await asyncio.sleep(0.05)
        except TimeoutError:
            (self.folder / name).unlink()  # the telephone system will send it again
            return False
        assert (self.folder / "done" / name).read_bytes() == data, "nothing is thrown away"
        return True

    async def send(self, key: str, text: str) -> bool:
        row = f"{key},2026-03-04T10:00:00Z,+4930901820,{text}\n"
        wait = 2.5 if self.edge.intake.away else 8.0
        return await self._drop(f"call_id,started_at,caller,notes\n{row}".encode(), wait)

    async def hurl(self, data: bytes) -> None:
        await self._drop(data, 8.0)
        await self._drop(b"call_id,started_at,caller\n" + data + b"\nok,2026-03-04T10:00:00Z,+4930901821\n", 8.0)

    async def oversize(self) -> bool:
        before = (await self.edge.balance()).total.states.get("dead_letter", 0)
        await self._drop(b"started_at,caller\n" + b"x" * 100_000 + b"\n", 8.0)
        return (await self.edge.balance()).total.states["dead_letter"] == before + 1


class TestPhoneLog(ChannelContract):
    @pytest.fixture
    async def door(self, tmp_path: Path) -> AsyncIterator[PhoneDoor]:
        async with edge(tmp_path, {"phone_log": {"calls": {"default_region": "DE"}}}) as found:
            yield PhoneDoor(found, tmp_path / "calls")

    async def test_a_bad_row_is_set_aside_with_its_bytes_and_the_others_go_on(self, door: PhoneDoor) -> None:
        data = b"started_at,caller\n2026-03-04T10:00:00Z,030 901820\nyesterday,+4930901820\n2026-03-04T10:00:00Z,\xff\n"
        assert await door._drop(data, 8.0)
        total = (await door.edge.balance()).total
        assert total.accepted == 3
        assert total.states == {"received": 1, "dead_letter": 2}

    async def test_a_file_that_is_too_large_is_put_aside_and_keeps_no_other_waiting(
        self, door: PhoneDoor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("channels.phone_log.folder.MAX_BYTES", 1000)
        (door.folder / "0.csv").write_bytes(b"x" * 2000)
        assert await door.send("key", "after it by name")
        assert (door.folder / "refused" / "0.csv").read_bytes() == b"x" * 2000
        total = (await door.edge.balance()).total
        assert (total.accepted, total.refused) == (1, 1)

    async def test_a_file_that_is_read_again_after_a_crash_gives_copies(self, door: PhoneDoor) -> None:
        rows = "".join(f"k{n},2026-03-04T10:00:00Z,+4930901820\n" for n in range(5))
        head, broken = "call_id,started_at,caller\n", "k9,never,+4930901820\n"
        assert await door._drop((head + "".join(rows.splitlines(keepends=True)[:3]) + broken).encode(), 8.0)
        assert await door._drop((head + rows + broken).encode(), 8.0)
        total = (await door.edge.balance()).total
        assert (total.accepted, total.states) == (6, {"received": 5, "dead_letter": 1})
        assert total.copies >= 3
