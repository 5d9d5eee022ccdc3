"""The way back: from the topic into the delivery ledger, and from there to the customer's screen."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from sqlalchemy import select
from sqlalchemy.engine import Connection

from bus.records import Record
from channels.senders import SenderIntake
from schemas.codec import encode
from schemas.interaction import ChatContent, Interaction, Sender
from schemas.reply import Author, Reply
from schemas.states import DeliveryState
from store import dead_letters, deliveries, replies
from store.tables import interactions
from tests.kit.edge import Edge, edge
from tests.kit.events import examples

D = DeliveryState


def record(reply: Reply, offset: int) -> Record:
    made = encode(reply)
    return Record("replies", 0, offset, made.key.encode(), made.value, made.headers, 0)


async def request(site: Edge, **more: Any) -> Reply:
    base = examples()["reply"]
    assert isinstance(base, Reply)
    made = Reply.model_validate({**base.model_dump(), "created_at": datetime.now(UTC), **more})
    await site.database.write(lambda conn: replies.request(conn, site.context.store.outbox, [made]))
    return made


async def take_in(site: Edge, *records: Record) -> None:
    await SenderIntake(site.context.store, site.context.clock).handle(list(records))


async def newest(site: Edge) -> Interaction:
    def work(conn: Connection) -> Interaction:
        body = conn.scalar(select(interactions.c.body).order_by(interactions.c.accepted_at.desc()))
        return Interaction.model_validate(body)

    return await site.database.read(work)


async def state(site: Edge, reply: Reply) -> DeliveryState:
    rows = await site.database.read(lambda conn: deliveries.of_conversation(conn, reply.conversation_id))
    return next(row.state for row in rows if row.reply_id == reply.id)


async def until(site: Edge, reply: Reply, wanted: DeliveryState) -> None:
    async with asyncio.timeout(5):
        while await state(site, reply) is not wanted:
            await asyncio.sleep(0.02)


class TestIntake:
    @pytest.fixture
    async def site(self, tmp_path: Path, store_url: str) -> AsyncIterator[Edge]:
        async with edge(tmp_path, {}, store_url=store_url) as found:
            yield found

    async def test_a_reply_that_comes_twice_is_in_the_ledger_once(self, site: Edge) -> None:
        made = await request(site)
        await take_in(site, record(made, 1), record(made, 2))
        await take_in(site, record(made, 1))
        rows = await site.database.read(lambda conn: deliveries.of_conversation(conn, made.conversation_id))
        assert [row.state for row in rows] == [D.PENDING]

    async def test_what_is_no_reply_becomes_a_dead_letter_and_the_rest_goes_on(self, site: Edge) -> None:
        made = await request(site)
        junk = Record("replies", 0, 7, b"k", b"\xff" * 200_000, (("ce_type", b"\xff"),), 0)
        empty = Record("replies", 0, 8, None, None, (), 0)
        other = encode(examples()["notification"])
        strange = Record("replies", 0, 9, b"k", other.value, other.headers, 0)
        for _ in range(2):  # the batch comes again after a crash before the commit of its offsets
            await take_in(site, junk, empty, record(made, 10), strange)
        assert await state(site, made) is D.PENDING
        kept = await site.database.read(lambda conn: dead_letters.listing(conn, "open", 10))
        assert {one.letter.place.offset: one.letter.raw for one in kept} == {7: junk.value, 8: None, 9: other.value}


class TestChat:
    @pytest.fixture
    async def site(self, tmp_path: Path, store_url: str) -> AsyncIterator[Edge]:
        async with edge(tmp_path, {"chat": {"website": {}}}, store_url=store_url) as found:
            yield found

    @contextlib.asynccontextmanager
    async def socket(
        self, site: Edge, token: str | None = None
    ) -> AsyncIterator[tuple[aiohttp.ClientWebSocketResponse, dict[str, Any]]]:
        url = site.http.url.replace("http", "ws", 1) + "/chat/website/ws"
        async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
            await socket.send_json({"type": "hello", "session": token})
            yield socket, await socket.receive_json(timeout=5)

    async def answer(self, site: Edge, socket: aiohttp.ClientWebSocketResponse, **more: Any) -> Reply:
        """The visitor writes, and somebody answers."""
        await socket.send_json({"type": "message", "id": "1", "text": "hello?"})
        accepted = await socket.receive_json(timeout=5)
        assert accepted["type"] == "accepted"
        asked = await newest(site)
        assert isinstance(asked.content, ChatContent)
        made = await request(
            site,
            channel="chat",
            account="website",
            conversation_id=asked.conversation_id,
            recipient=asked.sender,
            session_id=asked.content.session_id,
            author=Author(kind="agent", name="Ada"),
            text="yes",
            automatic=False,
            **more,
        )
        await take_in(site, record(made, 1))
        return made

    async def test_a_reply_is_sent_when_the_visitors_program_says_so(self, site: Edge) -> None:
        async with self.socket(site) as (socket, _):
            made = await self.answer(site, socket)
            frame = await socket.receive_json(timeout=5)
            assert (frame["type"], frame["id"], frame["text"]) == ("reply", made.id, "yes")
            assert frame["author"] == {"kind": "agent", "name": "Ada"}
            assert await state(site, made) is D.PENDING
            await socket.send_json({"type": "ack", "id": made.id})
            await until(site, made, D.SENT)

    async def test_what_was_not_acknowledged_comes_again(self, site: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("channels.chat.push.RESEND_S", 0.2)
        async with self.socket(site) as (socket, welcome):
            made = await self.answer(site, socket)
            for _ in range(2):
                assert (await socket.receive_json(timeout=5))["id"] == made.id
        async with self.socket(site, welcome["session"]) as (socket, again):
            assert [line["text"] for line in again["history"]] == ["hello?", "yes"]
            assert (await socket.receive_json(timeout=5))["id"] == made.id
            await socket.send_json({"type": "ack", "id": made.id})
            await until(site, made, D.SENT)
            with pytest.raises(TimeoutError):
                while True:  # what was under way may still come
                    await socket.receive_json(timeout=1)

    async def test_a_stranger_neither_sees_nor_acknowledges_it(self, site: Edge) -> None:
        async with self.socket(site) as (_, _), self.socket(site) as (stranger, _), self.socket(site) as (mine, _):
            made = await self.answer(site, mine)
            assert (await mine.receive_json(timeout=5))["id"] == made.id
            await stranger.send_json({"type": "ack", "id": made.id})
            with pytest.raises(TimeoutError):
                await stranger.receive_json(timeout=0.5)
            assert await state(site, made) is D.PENDING


class TestForm:
    @pytest.fixture
    async def site(self, tmp_path: Path, store_url: str) -> AsyncIterator[Edge]:
        async with edge(tmp_path, {"web_form": {"contact": {}}}, store_url=store_url) as found:
            yield found

    async def test_an_answer_is_sent_once_it_can_be_read(self, site: Edge) -> None:
        async with aiohttp.ClientSession() as session:
            async with session.post(f"{site.http.url}/forms/contact", json={"message": "a question"}) as response:
                body = await response.json()
            url = f"{site.http.url}/forms/status/{body['status_url'].rpartition('/')[2]}"
            made = await request(
                site,
                channel="web_form",
                account="contact",
                conversation_id=(await newest(site)).conversation_id,
                recipient=Sender(kind="anonymous"),
                text="an answer <b>",
            )
            await take_in(site, record(made, 1))
            await until(site, made, D.SENT)
            async with session.get(url) as response:
                assert [a["text"] for a in (await response.json())["answers"]] == ["an answer <b>"]
            async with session.get(url, headers={"Accept": "text/html"}) as response:
                assert "an answer &lt;b&gt;" in await response.text()
                assert "no-store" in response.headers["Cache-Control"]
                assert response.headers["Referrer-Policy"] == "no-referrer"
