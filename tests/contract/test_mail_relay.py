"""Answers through a real relay (exim) into a real mailbox (Dovecot), and the answer to them back: one conversation."""

import asyncio
import email
import email.policy
import imaplib
import smtplib
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.engine import Connection

from bus.brokers.probe import free_port
from schemas.interaction import Interaction
from schemas.reply import Author, Reply
from schemas.states import DeliveryState
from store import deliveries, ledger, replies
from store.tables import interactions
from tests.conftest import need
from tests.kit import exim as exim_kit
from tests.kit.dovecot import PASSWORD, Dovecot
from tests.kit.edge import Edge, edge
from tests.kit.exim import Exim
from tests.kit.mails import mail

pytestmark = pytest.mark.acceptance
D = DeliveryState


class Relayed:
    """A site whose relay is exim; customers' mailboxes are Dovecot's."""

    def __init__(self, site: Edge, relay: Exim, dovecot: Dovecot) -> None:
        self.site, self.relay, self.dovecot = site, relay, dovecot

    async def write(self, sender: str, raw: bytes, to: str = "help@shop.example") -> None:
        """As a customer, by the relay."""

        def send() -> None:
            with smtplib.SMTP("127.0.0.1", self.relay.port, timeout=20) as client:
                client.sendmail(sender, [to], raw)

        await asyncio.to_thread(send)

    async def accepted(self, count: int) -> list[Interaction]:
        async with asyncio.timeout(30):
            while True:
                found = await self.site.database.read(self._all)
                if len(found) >= count:
                    return sorted(found, key=lambda each: each.received_at)
                await asyncio.sleep(0.1)

    @staticmethod
    def _all(conn: Connection) -> list[Interaction]:
        return list(ledger.load(conn, list(conn.scalars(select(interactions.c.id)))).values())

    async def answer(self, asked: Interaction, *, automatic: bool = False, key: str = "reply-1") -> Reply:
        made = Reply(
            id=key,
            conversation_id=asked.conversation_id,
            reference=asked.reference,
            channel="email",
            account="help",
            recipient=asked.sender,
            author=Author(kind="agent", name="mara"),
            text="Your parcel left today: grüße!",
            automatic=automatic,
            answers=(asked.id,),
            thread=replies.thread_of(asked),
            created_at=datetime.now(UTC),
        )
        out = self.site.context.store.outbox
        await self.site.database.write(lambda c: replies.request(c, out, [made]))
        await self.site.database.write(lambda c: deliveries.copy_in(c, [made], made.created_at))
        return made

    async def ended(self, reply: Reply) -> deliveries.Row:
        async with asyncio.timeout(30):
            while True:
                rows = await self.site.database.read(lambda c: deliveries.of_conversation(c, reply.conversation_id))
                row = next(each for each in rows if each.reply_id == reply.id)
                if row.state not in (D.PENDING, D.ATTEMPTING):
                    return row
                await asyncio.sleep(0.1)

    async def box(self, user: str, which: str = "ALL") -> EmailMessage:
        """Their last mail, once there is one; `which` as in IMAP's SEARCH."""
        async with asyncio.timeout(30):
            while not (found := await asyncio.to_thread(self._fetch, user, which)):
                await asyncio.sleep(0.1)
        made = email.message_from_bytes(found, policy=email.policy.default)
        assert isinstance(made, EmailMessage)
        return made

    @contextmanager
    def _imap(self, user: str) -> Iterator[imaplib.IMAP4_SSL]:
        """The customer's own mail program, which is none of ours."""
        context = ssl.create_default_context(cafile=str(self.dovecot.cert))
        with imaplib.IMAP4_SSL("localhost", self.dovecot.port, ssl_context=context, timeout=20) as client:
            client.login(user, PASSWORD)
            client.select("INBOX", readonly=True)
            yield client

    def _fetch(self, user: str, which: str) -> bytes:
        """Empty when there is none."""
        with self._imap(user) as client:
            (numbers,) = client.search(None, which)[1]
            if not numbers:
                return b""
            _, parts = client.fetch(numbers.split()[-1].decode(), "(BODY.PEEK[])")
            return bytes(parts[0][1])  # type: ignore[index,arg-type]

    def threads(self, user: str) -> str:
        """As their mail program shows them (RFC 5256), by the References."""
        with self._imap(user) as client:
            return str(client.thread("REFERENCES", "UTF-8", "ALL")[1][0].decode())


@pytest.fixture
async def relayed(dovecot: Dovecot, tmp_path: Path) -> AsyncIterator[Relayed]:
    path = exim_kit.program()
    need(path, exim_kit.WHAT)
    assert path is not None
    door = free_port()
    with exim_kit.server(path, door=door, lmtp=dovecot.lmtp_port) as relay:
        smtp = {"host": "127.0.0.1", "port": relay.port, "tls": "none"}
        account: dict[str, Any] = {"address": "help@shop.example", "smtp": smtp, "plus_addressing": True, "verp": True}
        door_at = {"bind": f"127.0.0.1:{door}"}
        async with edge(tmp_path, {"email": {"help": account}}, smtp_ingress=door_at) as site:
            yield Relayed(site, relay, dovecot)


async def test_the_whole_round_is_one_thread_and_one_conversation(relayed: Relayed) -> None:
    ann = "round@customer.example"
    await relayed.write(ann, mail("first", sender=ann, subject="Where is it?"))
    (asked,) = await relayed.accepted(1)
    row = await relayed.ended(await relayed.answer(asked))
    assert row.state is D.SENT, row.detail
    got = await relayed.box(ann)
    assert got["In-Reply-To"] == "<first@example.org>"
    assert "<first@example.org>" in got["References"]
    body = got.get_body(("plain",))
    assert body is not None
    assert "grüße" in body.get_content()
    reply_to = got["Reply-To"].addresses[0].addr_spec
    assert reply_to.startswith("help+")

    # The customer's program keeps nothing but the address: the token alone has to bring it home.
    await relayed.write(ann, mail("second", sender=ann, subject="Thanks", to=reply_to), to=reply_to)
    _, again = await relayed.accepted(2)
    assert again.conversation_id == asked.conversation_id
    # And once more by the references, to the plain address.
    refers = f"In-Reply-To: {got['Message-ID']}\r\n"
    await relayed.write(ann, mail("third", sender=ann, trace=refers))
    assert {each.conversation_id for each in await relayed.accepted(3)} == {asked.conversation_id}


async def test_an_automatic_answer_is_one_thread_with_what_it_answers(relayed: Relayed) -> None:
    bea = "auto@customer.example"
    asked_with = mail("auto-first", sender=bea, subject="Are you open?")
    relayed.dovecot.drop(bea, [asked_with])  # what her program keeps of what she sent
    await relayed.write(bea, asked_with)
    (asked,) = await relayed.accepted(1)
    row = await relayed.ended(await relayed.answer(asked, automatic=True, key="auto-1"))
    assert row.state is D.SENT, row.detail
    got = await relayed.box(bea, 'HEADER "Auto-Submitted" "auto-replied"')
    assert got["Return-Path"] == "<>", "no bounce of it can start a loop"
    assert await asyncio.to_thread(relayed.threads, bea) in ("(1 2)", "(2 1)")


async def test_an_address_with_dots_that_standards_do_not_have_is_answered(relayed: Relayed) -> None:
    wild = "carl..b.@customer.example"
    await relayed.write(wild, mail("wild", sender=wild))
    (asked,) = await relayed.accepted(1)
    assert asked.sender.address == wild
    row = await relayed.ended(await relayed.answer(asked))
    assert row.state is D.SENT, row.detail
    assert (await relayed.box(wild))["To"].addresses[0].addr_spec == wild


async def test_a_mailbox_that_is_not_there_fails_in_plain_words(relayed: Relayed) -> None:
    await relayed.write("unknown@customer.example", mail("u", sender="unknown@customer.example"))
    (asked,) = await relayed.accepted(1)
    row = await relayed.ended(await relayed.answer(asked))
    assert row.state is D.FAILED
    assert row.detail.startswith("there is no such mailbox")


async def test_a_bounce_of_the_relay_names_the_mail_and_comes_home(relayed: Relayed) -> None:
    await relayed.write("full@customer.example", mail("f", sender="full@customer.example"))
    (asked,) = await relayed.accepted(1)
    row = await relayed.ended(await relayed.answer(asked))
    assert row.state is D.SENT, "the relay took it"
    _, bounce = await relayed.accepted(2)
    content = bounce.content
    assert content.channel == "email"
    assert content.bounce is not None
    assert content.bounce.about_message_id == row.provider_id
    assert content.token_of == asked.conversation_id, "the return path says it too"
