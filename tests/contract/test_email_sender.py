"""The email sender against an SMTP server that fails on command: at most one mail ever passes the dot."""

import asyncio
import email
import email.policy
import itertools
import random
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import select
from sqlalchemy.engine import Connection
from structlog.testing import capture_logs

from bus.topics import NOTIFICATIONS
from channels.email.sending import book as book_
from channels.email.sending import domains as domains_
from channels.email.sending import hand as hand_
from channels.email.sending import hold as hold_
from channels.email.sending import sender as sender_
from channels.email.sending import transfer as transfer_
from channels.email.sending.links import Links
from channels.email.sending.relay_alarm import RelayAlarm
from runtime.clock import SystemClock
from schemas.errors import StoreUnavailable
from schemas.interaction import Attachment
from schemas.reply import Reply
from schemas.states import DeliveryState
from store import attempts, by_hand, deliveries, replies
from store.attempts import Begin
from store.intake import Arrival
from store.tables import outbox
from tests.kit.contacts import email as email_contact
from tests.kit.edge import Edge, edge
from tests.kit.events import examples
from tests.kit.smtp_sink import SmtpSink

D = DeliveryState


@pytest.fixture
async def sink() -> AsyncIterator[SmtpSink]:
    async with SmtpSink() as found:
        yield found


def alarms(conn: Connection) -> list[str]:
    """What people were told about relays, in order."""
    rows = conn.scalars(select(outbox.c.value).where(outbox.c.topic == NOTIFICATIONS).order_by(outbox.c.id))
    return [orjson.loads(value)["kind"] for value in rows]


class TestLedger:
    @pytest.fixture
    async def site(self, tmp_path: Path, sink: SmtpSink, store_url: str) -> AsyncIterator[Edge]:
        smtp = {"host": "127.0.0.1", "port": sink.port, "tls": "none"}
        account = {"address": "help@shop.example", "smtp": smtp}
        mute = {"address": "mute@shop.example"}
        async with edge(tmp_path, {"email": {"support": account, "mute": mute}}, store_url=store_url) as found:
            yield found

    async def request(self, site: Edge, **more: object) -> Reply:
        made = examples()["reply"]
        assert isinstance(made, Reply)
        made = made.model_copy(update={"created_at": datetime.now(UTC), **more})
        out = site.context.store.outbox
        await site.database.write(lambda c: replies.request(c, out, [made]))
        await site.database.write(lambda c: deliveries.copy_in(c, [made], made.created_at))
        return made

    async def settled(self, site: Edge, made: Reply, *states: DeliveryState) -> deliveries.Row:
        async with asyncio.timeout(10):
            while True:
                rows = await site.database.read(lambda c: deliveries.of_conversation(c, made.conversation_id))
                row = next(r for r in rows if r.reply_id == made.id)
                if row.state in states:
                    return row
                await asyncio.sleep(0.05)

    async def test_machine_made_mail_has_a_null_return_path_and_an_agents_has_not(
        self, site: Edge, sink: SmtpSink
    ) -> None:
        await self.settled(site, await self.request(site), D.SENT)
        second = await self.request(site, id="agent", automatic=False, conversation_id="other")
        await self.settled(site, second, D.SENT)
        assert [sender for sender, _, _ in sink.mails] == ["", "help@shop.example"]

    async def test_an_unknown_outcome_is_never_tried_again(self, site: Edge, sink: SmtpSink) -> None:
        sink.faults["stored"] = "reset"
        row = await self.settled(site, await self.request(site), D.UNKNOWN)
        assert row.attempt == 1
        del sink.faults["stored"]
        await asyncio.sleep(1.5)
        assert len(sink.mails) == 1
        assert sink.attempts == 1

    async def test_each_recipient_has_a_state_of_its_own(self, site: Edge, sink: SmtpSink) -> None:
        sink.refused["bob@example.net"] = "550 5.1.1 no such user"
        await self.settled(site, made := await self.request(site, cc=("bob@example.net", "carl@example.net")), D.SENT)

        async def rows() -> dict[str, deliveries.Row]:
            found = await site.database.read(lambda c: deliveries.of_conversation(c, made.conversation_id))
            return {row.recipient: row for row in found}

        async with asyncio.timeout(10):
            while {row.state for row in (await rows()).values()} & {D.PENDING, D.ATTEMPTING}:
                await asyncio.sleep(0.05)
        found = await rows()
        assert {who: row.state for who, row in found.items()} == {
            "ann@example.org": D.SENT,
            "bob@example.net": D.FAILED,
            "carl@example.net": D.SENT,
        }
        assert found["bob@example.net"].detail.startswith("bob@example.net in copy: there is no such mailbox")
        assert sorted(to for _, to, _ in sink.mails) == [["ann@example.org"], ["carl@example.net"]]
        first, second = (email.message_from_bytes(raw, policy=email.policy.default) for _, _, raw in sink.mails)
        assert first["Message-ID"] == second["Message-ID"], "the same mail for everybody"
        assert (first["To"], first["Cc"]) == ("ann@example.org", "bob@example.net, carl@example.net")

    @pytest.mark.parametrize(
        ("verb", "answer", "state"),
        [
            ("stored", "250 Grüße, angenommen", D.SENT),
            ("RCPT", "550 Empfänger unbekannt", D.FAILED),
            ("RCPT", "450 später", D.DEFERRED),
            ("RCPT", "450 a\x00b", D.DEFERRED),
            ("MAIL", "550 Zugriff verweigert für dich", D.DEFERRED),
            ("connect", "554 keine Verbindung möglich", D.DEFERRED),
        ],
    )
    async def test_no_answer_of_a_relay_leaves_a_mail_without_an_end(
        self, site: Edge, sink: SmtpSink, verb: str, answer: str, state: DeliveryState
    ) -> None:
        sink.faults[verb] = answer.encode("latin-1").decode("utf-8", "surrogateescape")
        row = await self.settled(site, await self.request(site), state)
        assert answer.split(" ", 1)[1].replace("\x00", " ") in row.detail

    @pytest.mark.parametrize(("data", "state"), [(False, D.DEFERRED), (True, D.UNKNOWN)])
    async def test_an_attempt_that_fails_in_an_unforeseen_way_has_a_true_end(
        self, site: Edge, monkeypatch: pytest.MonkeyPatch, data: bool, state: DeliveryState
    ) -> None:
        async def bug(_links: Links, _from: str, _to: str, _mail: bytes, sure: Callable[[], bool]) -> None:
            if data:
                sure()
            raise RuntimeError("a bug, as told")

        monkeypatch.setattr(sender_, "transfer", bug)
        row = await self.settled(site, await self.request(site), state)
        assert (row.attempt, row.detail) == (1, "RuntimeError: a bug, as told")

    async def test_an_end_that_cannot_be_written_is_written_without_its_words(
        self, site: Edge, sink: SmtpSink, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sender_, "in_words", lambda said: said + "\udcfc")
        monkeypatch.setattr(book_, "RETRY_S", 0.0)
        sink.faults["RCPT"] = "550 no"
        row = await self.settled(site, await self.request(site), D.FAILED)
        assert row.detail == book_.NO_WORDS

    async def test_an_alarm_that_fails_keeps_no_mail_open(
        self, site: Edge, sink: SmtpSink, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def bug(*_: object) -> None:
            raise RuntimeError("a bug, as told")

        monkeypatch.setattr(RelayAlarm, "refused", bug)
        sink.faults["MAIL"] = "550 not you"
        await self.settled(site, await self.request(site), D.DEFERRED)

    async def test_a_begin_that_was_written_though_the_database_went_away_is_given_back(
        self, site: Edge, sink: SmtpSink, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        begins = site.parts["email"].outbound[1]._book._begins  # type: ignore[attr-defined]
        real, away = begins._do, [True]

        async def begin(waiting: Sequence[Begin]) -> Sequence[bool]:
            done: Sequence[bool] = await real(waiting)
            if away:
                away.pop()
                raise StoreUnavailable("away after the commit, as told")
            return done

        monkeypatch.setattr(begins, "_do", begin)
        await self.settled(site, await self.request(site), D.SENT)
        assert len(sink.mails) == 1

    async def to(self, site: Edge, address: str, **more: object) -> Reply:
        """A reply to this address."""
        recipient = examples()["reply"].recipient.model_copy(update={"address": address})  # type: ignore[union-attr]
        return await self.request(site, recipient=recipient, **more)

    @pytest.mark.parametrize("address", ["a..b@docomo.ne.jp", ".a@docomo.ne.jp", "a.@ezweb.ne.jp"])
    async def test_a_customer_whose_address_has_dots_that_standards_do_not_have_is_answered(
        self, site: Edge, sink: SmtpSink, address: str
    ) -> None:
        await self.settled(site, await self.to(site, address, cc=("bob@example.net",)), D.SENT)
        async with asyncio.timeout(10):
            while len(sink.mails) < 2:
                await asyncio.sleep(0.02)
        local, _, domain = address.partition("@")
        assert sorted(to for _, (to,), _ in sink.mails) == [f'"{local}"@{domain}', "bob@example.net"]
        for _, _, raw in sink.mails:
            assert email.message_from_bytes(raw, policy=email.policy.default)["To"].addresses[0].addr_spec == address

    async def test_a_customer_in_copy_of_himself_gets_one_mail(self, site: Edge, sink: SmtpSink) -> None:
        made = await self.to(site, "ann@bücher.example", cc=("ann@xn--bcher-kva.example",))
        await self.settled(site, made, D.SENT)
        rows = await site.database.read(lambda c: deliveries.of_conversation(c, made.conversation_id))
        assert [(row.recipient, row.state) for row in rows] == [("ann@bücher.example", D.SENT)]
        assert [to for _, to, _ in sink.mails] == [["ann@xn--bcher-kva.example"]]

    @pytest.mark.parametrize("offered", [True, False])
    async def test_a_customer_whose_address_is_not_ascii(self, site: Edge, sink: SmtpSink, offered: bool) -> None:
        sink.extensions = ("SMTPUTF8",) if offered else ()
        row = await self.settled(site, await self.to(site, "jürgen@straße.de"), D.SENT if offered else D.FAILED)
        if not offered:
            assert (row.detail, sink.mails) == (transfer_.NO_UTF8, [])
            return
        ((_, to, raw),) = sink.mails
        assert to == ["jürgen@xn--strae-oqa.de"]
        found = email.message_from_bytes(raw, policy=email.policy.SMTPUTF8)
        assert found["To"] == "jürgen@xn--strae-oqa.de"

    @pytest.mark.parametrize("offered", [True, False])
    async def test_a_copy_whose_address_is_not_ascii_fails_nobody_else(
        self, site: Edge, sink: SmtpSink, offered: bool
    ) -> None:
        sink.extensions = ("SMTPUTF8",) if offered else ()
        made = await self.request(site, cc=("jürgen@example.net", "bob@example.net"))
        async with asyncio.timeout(10):
            while await site.database.read(lambda c: deliveries.count(c, [D.PENDING, D.ATTEMPTING])):
                await asyncio.sleep(0.05)
        rows = await site.database.read(lambda c: deliveries.of_conversation(c, made.conversation_id))
        assert {row.recipient: row.state for row in rows} == {
            "ann@example.org": D.SENT,
            "bob@example.net": D.SENT,
            "jürgen@example.net": D.SENT if offered else D.FAILED,
        }
        mails = {to: raw for _, (to,), raw in sink.mails}
        if offered:
            found = email.message_from_bytes(mails["jürgen@example.net"], policy=email.policy.SMTPUTF8)
            assert found["Cc"] == "jürgen@example.net, bob@example.net"
        for who in ("ann@example.org", "bob@example.net"):
            found = email.message_from_bytes(mails[who], policy=email.policy.default)
            assert [each.addr_spec for each in found["Cc"].addresses] == ["bob@example.net"]
            assert found["Cc"].groups[0].display_name == "jürgen@example.net"

    async def test_a_file_goes_with_the_mail(self, site: Edge, sink: SmtpSink) -> None:
        data = bytes(range(256)) * 1000
        dataref = await site.context.store.blobs.put(data)
        file = Attachment(name="invoice.pdf", media_type="application/pdf", size=len(data), dataref=dataref)
        await self.settled(site, await self.request(site, files=(file,)), D.SENT)
        ((_, _, raw),) = sink.mails
        (part,) = email.message_from_bytes(raw + b"\r\n", policy=email.policy.default).iter_attachments()
        assert (part.get_filename(), part.get_payload(decode=True)) == ("invoice.pdf", data)

    async def test_a_file_that_is_gone_fails_with_the_reason(self, site: Edge, sink: SmtpSink) -> None:
        file = Attachment(name="invoice.pdf", size=1, dataref="blob:sha256/" + "0" * 64)
        row = await self.settled(site, await self.request(site, files=(file,)), D.FAILED)
        assert ("no payload" in row.detail, sink.mails) == (True, [])

    async def test_what_is_deferred_waits_and_what_comes_after_it_waits_too(self, site: Edge, sink: SmtpSink) -> None:
        sink.faults["RCPT"] = "450 greylisted"
        first = await self.request(site)
        await self.settled(site, first, D.DEFERRED)
        del sink.faults["RCPT"]
        second = await self.request(site, id="second", created_at=first.created_at + timedelta(milliseconds=1))
        other = await self.request(site, id="third", conversation_id="another")
        await self.settled(site, other, D.SENT)
        rows = await site.database.read(lambda c: deliveries.of_conversation(c, first.conversation_id))
        assert {r.reply_id: r.state for r in rows} == {first.id: D.DEFERRED, second.id: D.PENDING}

    async def test_a_reply_that_cannot_become_a_mail_fails_with_the_reason(self, site: Edge) -> None:
        recipient = (await self.request(site, id="x", conversation_id="y")).recipient
        broken = recipient.model_copy(update={"address": "not an address"})
        row = await self.settled(site, await self.request(site, id="bad", recipient=broken), D.FAILED)
        assert row.detail == "the mail could not be made: 'not an address' is no address that a mail could go to"

    async def test_an_account_without_a_relay_keeps_nobody_waiting(
        self, site: Edge, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sender_, "BATCH", 2)
        for n in range(3):
            await self.request(site, id=f"mute-{n}", account="mute", conversation_id=f"mute-{n}")
        await self.settled(site, await self.request(site), D.SENT)

    async def test_a_relay_that_refuses_us_is_left_alone_and_a_person_is_told_once(
        self, site: Edge, sink: SmtpSink
    ) -> None:
        sink.faults["MAIL"] = "550 5.7.1 not you"
        with capture_logs() as said:
            await self.settled(site, await self.request(site), D.DEFERRED)
        assert [each["event"] for each in said if each["log_level"] == "error"] == ["a relay needs a person"]
        tried = sink.attempts
        second = await self.request(site, id="second", conversation_id="another")
        await asyncio.sleep(1.0)
        assert sink.attempts == tried
        assert (await self.settled(site, second, D.PENDING)).attempt == 0

        assert await site.database.read(alarms) == ["relay.refused"]

    async def test_a_relay_that_takes_our_mail_again_is_told_once(
        self, site: Edge, sink: SmtpSink, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(hold_, "HOLD_S", 0.0)
        sink.faults["MAIL"] = "550 5.7.1 not you"
        for n in range(2):
            await self.settled(site, await self.request(site, id=f"r{n}", conversation_id=f"r{n}"), D.DEFERRED)
        sink.faults.clear()
        for n in range(2, 4):
            await self.settled(site, await self.request(site, id=f"r{n}", conversation_id=f"r{n}"), D.SENT)
        assert await site.database.read(alarms) == ["relay.refused", "relay.recovered"]

    async def test_mails_that_end_at_the_same_time_tell_of_the_relay_once(
        self, site: Edge, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real, seconds = SystemClock.now, itertools.count()  # the second of an alarm is part of its id
        monkeypatch.setattr(SystemClock, "now", lambda clock: real(clock) + timedelta(seconds=next(seconds)))
        alarm = RelayAlarm(site.context, "support", "own")
        await asyncio.gather(alarm.refused("MAIL: 550 no"), alarm.refused("MAIL: 550 no"))
        await asyncio.gather(alarm.clear(), alarm.clear())
        assert await site.database.read(alarms) == ["relay.refused", "relay.recovered"]

    @pytest.mark.parametrize("machines", [True, False])
    async def test_a_relay_that_refuses_one_return_path_gets_the_mail_with_the_other(
        self, site: Edge, sink: SmtpSink, machines: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        refused, taken = ("", "help@shop.example") if machines else ("help@shop.example", "")
        sink.senders[refused] = "501 5.1.7 Invalid MAIL FROM address provided"
        held = await self.request(site, id="held", conversation_id="held", automatic=machines)
        row = await self.settled(site, held, D.DEFERRED)
        assert row.detail.startswith("MAIL: 501")
        for n in range(120):  # more than one look at what is due brings
            await self.request(site, id=f"h{n}", conversation_id=f"h{n}", automatic=machines)
        for n in range(3):
            made = await self.request(site, id=f"s{n}", conversation_id=f"s{n}", automatic=not machines)
            await self.settled(site, made, D.SENT)
        assert {sender for sender, _, _ in sink.mails} == {taken}
        assert await site.database.read(alarms) == ["relay.refused"]
        waiting = await site.database.read(lambda c: deliveries.count(c, [D.PENDING]))
        assert waiting == 120, "nothing was asked of the relay for them"

        monkeypatch.setattr(hold_, "HOLD_S", 0.0)
        lane = site.parts["email"].outbound[1]._lanes["support"]  # type: ignore[attr-defined]
        for hold in lane._holds.values():
            hold._until = 0.0
        sink.senders.clear()
        await self.settled(site, await self.request(site, id="t", conversation_id="t", automatic=machines), D.SENT)
        await self.settled(site, await self.request(site, id="u", conversation_id="u", automatic=not machines), D.SENT)
        assert await site.database.read(alarms) == ["relay.refused", "relay.recovered"]

    async def test_a_mail_whose_relay_closed_before_its_turn_says_so_and_has_made_no_attempt(
        self, tmp_path: Path, sink: SmtpSink
    ) -> None:
        smtp = {"host": "127.0.0.1", "port": sink.port, "tls": "none", "connections": 1}
        async with edge(tmp_path, {"email": {"support": {"address": "help@shop.example", "smtp": smtp}}}) as site:
            lane = site.parts["email"].outbound[1]._lanes["support"]  # type: ignore[attr-defined]
            for _ in range(100):
                lane._ahead.learn(0.001)  # mails are begun ahead of the one connection
            sink.faults["MAIL"] = "550 5.7.1 not you"
            await lane._room.acquire()
            made = [await self.to(site, f"x@d{n}.example", id=f"r{n}", conversation_id=f"r{n}") for n in range(3)]
            for each in made:
                await self.settled(site, each, D.ATTEMPTING)
            lane._room.release()
            rows = [await self.settled(site, each, D.DEFERRED) for each in made]
            assert sorted(row.attempt for row in rows) == [0, 0, 1]
            for row in rows:
                said = "" if row.attempt else sender_.REFUSED
                assert row.detail.startswith(said or "MAIL: 550")
                assert "550 5.7.1 not you" in row.detail
            assert sink.attempts == 1

    async def test_after_a_refusal_one_mail_tries_and_the_others_wait_for_what_it_brings(
        self, site: Edge, sink: SmtpSink
    ) -> None:
        sink.faults["MAIL"] = "550 5.7.1 not you"
        await self.settled(site, await self.request(site), D.DEFERRED)
        for n in range(20):
            await self.request(site, id=f"r{n}", conversation_id=f"r{n}")
        lane = site.parts["email"].outbound[1]._lanes["support"]  # type: ignore[attr-defined]
        lane._holds["null"]._until = 0.0
        async with asyncio.timeout(10):
            while await site.database.read(lambda c: deliveries.count(c, [D.DEFERRED])) < 2:
                await asyncio.sleep(0.05)
        assert sink.attempts == 2

    async def test_a_slow_domain_does_not_hold_up_the_others(self, site: Edge, sink: SmtpSink) -> None:
        lane = site.parts["email"].outbound[1]._lanes["support"]  # type: ignore[attr-defined]
        async with lane.turn("a@slow.example"), lane.turn("b@slow.example"), lane.turn("c@slow.example"):
            slow = (await self.request(site, id="s", conversation_id="s")).recipient
            for n in range(20):
                to = slow.model_copy(update={"address": f"x{n}@slow.example"})
                await self.request(site, id=f"slow-{n}", conversation_id=f"slow-{n}", recipient=to)
            await self.settled(site, await self.request(site, id="quick", conversation_id="quick"), D.SENT)
            assert all(to[0].endswith("@example.org") for _, to, _ in sink.mails)

    @pytest.mark.parametrize("connections", [2, 3])
    async def test_a_silent_domain_leaves_a_connection_to_the_others(
        self, tmp_path: Path, sink: SmtpSink, connections: int
    ) -> None:
        smtp = {"host": "127.0.0.1", "port": sink.port, "tls": "none", "connections": connections}
        accounts = {"email": {"support": {"address": "help@shop.example", "smtp": smtp}}}
        async with edge(tmp_path, accounts) as site:
            for n in range(6):
                sink.refused[f"x{n}@slow.example"] = "silent"
                await self.to(site, f"x{n}@slow.example", id=f"slow-{n}", conversation_id=f"slow-{n}")
            async with asyncio.timeout(10):
                while len(sink.talking_of) < connections - 1:
                    await asyncio.sleep(0.05)
            await self.settled(site, await self.request(site, id="quick", conversation_id="quick"), D.SENT)
            assert len(sink.talking_of) == connections, "those that are silent, and the link of the quick one"

    @pytest.mark.parametrize(("domains", "mails"), [(1, 300), (2, 100), (8, 3)])
    async def test_silent_domains_however_many_and_however_much_leave_a_connection_to_the_others(
        self, tmp_path: Path, sink: SmtpSink, monkeypatch: pytest.MonkeyPatch, domains: int, mails: int
    ) -> None:
        monkeypatch.setattr(domains_, "SLOW_S", 0.2)
        monkeypatch.setattr(hand_, "OF_DOMAIN", 50)
        monkeypatch.setattr(sender_, "MOST", 120)
        monkeypatch.setattr(domains_, "PATIENCE_S", 60.0)
        smtp = {"host": "127.0.0.1", "port": sink.port, "tls": "none"}
        async with edge(tmp_path, {"email": {"support": {"address": "help@shop.example", "smtp": smtp}}}) as site:
            slow = []
            for n in range(domains * mails):
                sink.refused[address := f"x{n}@slow{n % domains}.example"] = "silent"
                slow.append(await self.to(site, address, id=f"slow-{n}", conversation_id=f"slow-{n}"))
            async with asyncio.timeout(10):
                while len(sink.talking_of) < min(3 * domains, 5):
                    await asyncio.sleep(0.02)
            for n in range(3):
                made = await self.to(site, f"q@quick{n}.example", id=f"q{n}", conversation_id=f"q{n}")
                await self.settled(site, made, D.SENT)
            rows = await site.database.read(lambda c: deliveries.listing(c, None, 1000))
            of_slow = [row for row in rows if row.reply_id.startswith("slow")]
            assert {row.attempt for row in of_slow if row.state is not D.ATTEMPTING} == {0}
            assert {row.detail for row in of_slow} <= {"", sender_.SLOW}
            assert {row.state for row in of_slow} <= {D.PENDING, D.DEFERRED, D.ATTEMPTING}

    async def test_slow_mails_are_sent_once_each_though_others_take_their_connections(
        self, tmp_path: Path, sink: SmtpSink, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(domains_, "SLOW_S", 0.05)
        sink.rcpt_s = 0.15
        smtp = {"host": "127.0.0.1", "port": sink.port, "tls": "none", "connections": 2}
        async with edge(tmp_path, {"email": {"support": {"address": "help@shop.example", "smtp": smtp}}}) as site:
            made = [await self.to(site, f"x@d{n}.example", id=f"r{n}", conversation_id=f"r{n}") for n in range(8)]
            for each in made:
                await self.settled(site, each, D.SENT)
            rows = await site.database.read(lambda c: deliveries.listing(c, None, 100))
        assert [row.attempt for row in rows] == [1] * 8
        assert sorted(to for _, (to,), _ in sink.mails) == sorted(f"x@d{n}.example" for n in range(8))

    async def test_a_domain_gets_so_many_mails_in_a_minute(self, tmp_path: Path, sink: SmtpSink) -> None:
        smtp = {"host": "127.0.0.1", "port": sink.port, "tls": "none", "domain_per_minute": 2}
        accounts = {"email": {"support": {"address": "help@shop.example", "smtp": smtp}}}
        async with edge(tmp_path, accounts) as site:
            many = [await self.request(site, id=f"r{n}", conversation_id=f"r{n}") for n in range(3)]
            for made in many[:2]:
                await self.settled(site, made, D.SENT)
            await self.settled(site, await self.to(site, "x@other.example", id="o", conversation_id="o"), D.SENT)
            await self.settled(site, many[2], D.PENDING)

    async def test_a_sender_that_is_not_sure_that_it_is_there_says_no_data(
        self, site: Edge, sink: SmtpSink, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(site.parts["email"].outbound[0], "sure", lambda: False)
        row = await self.settled(site, await self.request(site), D.DEFERRED)
        assert (row.detail, sink.mails, row.attempt) == (transfer_.NOT_SURE, [], 0)

    @pytest.mark.parametrize("verdict", ["verified", "unknown", "failed"])
    async def test_the_customers_words_go_to_the_customer_alone_and_only_if_it_was_they(
        self, tmp_path: Path, sink: SmtpSink, verdict: str
    ) -> None:
        smtp = {"host": "127.0.0.1", "port": sink.port, "tls": "none"}
        account = {"address": "help@shop.example", "smtp": smtp, "quote": True}
        async with edge(tmp_path, {"email": {"support": account}}) as site:
            contact = email_contact("m1@example.org", sender="ann@example.org", text="secret words")
            contact = contact.model_copy(update={"sender": contact.sender.model_copy(update={"verdict": verdict})})
            arrival = Arrival(contact=contact, raw=b"raw", media_type="text/plain")
            taken = await site.intake.accept(arrival, datetime.now(UTC))
            made = await self.request(site, answers=(taken.interaction_id,), cc=("bob@example.net",))
            async with asyncio.timeout(10):
                while len(sink.mails) < 2:
                    await asyncio.sleep(0.05)
            await self.settled(site, made, D.SENT)
        quoted = {to: b"> secret words" in raw for _, (to,), raw in sink.mails}
        assert quoted == {"ann@example.org": verdict == "verified", "bob@example.net": False}

    async def test_the_database_is_away_between_the_dot_and_the_write(
        self, site: Edge, sink: SmtpSink, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real, away = attempts.finish_all, [True]

        def finish(*args: Any) -> list[bool]:
            if away:
                away.pop()
                raise StoreUnavailable("away, as told")
            return real(*args)

        monkeypatch.setattr(attempts, "finish_all", finish)
        row = await self.settled(site, await self.request(site), D.SENT)
        assert (row.attempt, len(sink.mails)) == (1, 1)

    async def test_a_relay_that_was_away_for_an_hour_gets_the_mail_once(
        self, site: Edge, sink: SmtpSink, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(random, "random", lambda: 0.0)  # no jitter
        real, gone = SystemClock.now, [timedelta()]
        monkeypatch.setattr(SystemClock, "now", lambda clock: real(clock) + gone[0])
        sink.faults["connect"] = "reset"
        made = await self.request(site)
        await self.settled(site, made, D.DEFERRED)
        for minutes, attempt in [(6, 2), (17, 3), (38, 4)]:  # after 5, 10 and 20 more
            gone[0] = timedelta(minutes=minutes)
            async with asyncio.timeout(10):
                while (await self.settled(site, made, D.DEFERRED)).attempt < attempt:
                    await asyncio.sleep(0.05)
        del sink.faults["connect"]
        gone[0] = timedelta(minutes=60)
        await asyncio.sleep(1.0)
        assert sink.mails == [], "40 minutes after the last attempt, not before"
        gone[0] = timedelta(minutes=79)
        row = await self.settled(site, made, D.SENT)
        assert (row.attempt, len(sink.mails)) == (5, 1)

    async def test_what_our_relay_could_not_take_goes_when_it_is_back_and_nothing_else_does(
        self, site: Edge, sink: SmtpSink, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sink.refused["grey@example.net"] = "450 greylisted"
        grey = await self.to(site, "grey@example.net", id="grey", conversation_id="grey")
        await self.settled(site, grey, D.DEFERRED)
        sink.refused.clear()
        sink.faults["connect"] = "reset"
        waiting = [await self.request(site, id=f"w{n}", conversation_id=f"w{n}") for n in range(12)]
        for made in waiting:
            await self.settled(site, made, D.DEFERRED)
        sink.faults.clear()
        await self.settled(site, await self.request(site, id="first", conversation_id="first"), D.SENT)
        for made in waiting:
            assert (await self.settled(site, made, D.SENT)).attempt == 2
        assert (await self.settled(site, grey, D.DEFERRED)).attempt == 1
        assert len(sink.mails) == 13

    async def test_a_relay_that_comes_and_goes_is_not_asked_without_end(
        self, site: Edge, sink: SmtpSink, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        waiting: list[Reply] = []
        for n in range(2):
            sink.faults["MAIL"] = "reset"
            waiting.append(await self.request(site, id=f"w{n}", conversation_id=f"w{n}"))
            await self.settled(site, waiting[n], D.DEFERRED)
            sink.faults.clear()
            await self.settled(site, await self.request(site, id=f"s{n}", conversation_id=f"s{n}"), D.SENT)
            # What the first back brought is done with before the relay goes again.
            await self.settled(site, waiting[0], D.SENT)
        await self.settled(site, await self.request(site, id="s2", conversation_id="s2"), D.SENT)
        await self.settled(site, waiting[1], D.DEFERRED)

    async def test_an_old_reply_that_is_greylisted_is_tried_again(self, site: Edge, sink: SmtpSink) -> None:
        sink.faults["RCPT"] = "450 4.2.0 greylisted"
        made = await self.request(site, created_at=datetime.now(UTC) - timedelta(days=6))
        row = await self.settled(site, made, D.FAILED, D.DEFERRED)
        assert (row.state, row.attempt) == (D.DEFERRED, 1)

    async def test_an_old_unknown_one_that_a_person_sends_again_is_tried_again(
        self, site: Edge, sink: SmtpSink
    ) -> None:
        sink.faults["stored"] = "reset"
        made = await self.request(site, created_at=datetime.now(UTC) - timedelta(days=6))
        await self.settled(site, made, D.UNKNOWN)
        sink.faults = {"RCPT": "450 4.2.0 greylisted"}
        out, now = site.context.store.outbox, SystemClock().now()
        await site.database.write(lambda c: by_hand.resolve(c, out, made.id, sent=False, now=now))
        row = await self.settled(site, made, D.FAILED, D.DEFERRED)
        assert (row.state, row.attempt) == (D.DEFERRED, 2)

    async def test_what_is_given_up_says_why_in_words(
        self, site: Edge, sink: SmtpSink, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sender_, "next_attempt", lambda *_: None)
        sink.faults["RCPT"] = "452 4.2.2 mailbox full"
        row = await self.settled(site, await self.request(site), D.FAILED)
        assert row.detail.startswith("given up after 1 attempts: the mailbox is full")

    async def test_a_person_can_have_it_tried_at_once(self, site: Edge, sink: SmtpSink) -> None:
        sink.faults["RCPT"] = "450 greylisted"
        made = await self.request(site)
        other = await self.request(site, id="other", conversation_id="other")
        for each in (made, other):
            await self.settled(site, each, D.DEFERRED)
        sink.faults.clear()
        assert await site.database.write(lambda c: by_hand.retry(c, SystemClock().now(), reply_id=made.id)) == 1
        assert (await self.settled(site, made, D.SENT)).attempt == 2
        assert (await self.settled(site, other, D.DEFERRED)).attempt == 1


async def test_stopping_behind_a_slow_domain_is_quick_and_leaves_nothing_unknown(
    tmp_path: Path, sink: SmtpSink
) -> None:
    smtp = {"host": "127.0.0.1", "port": sink.port, "tls": "none", "domain_connections": 3}
    accounts: dict[str, Any] = {"email": {"support": {"address": "help@shop.example", "smtp": smtp}}}
    made = examples()["reply"]
    assert isinstance(made, Reply)
    now = datetime.now(UTC)
    slow = [
        made.model_copy(
            update={
                "id": f"r{n}",
                "conversation_id": f"c{n}",
                "created_at": now,
                "recipient": made.recipient.model_copy(update={"address": f"x{n}@slow.example"}),
            }
        )
        for n in range(20)
    ]
    sink.faults["RCPT"] = "silent"
    async with edge(tmp_path, accounts) as site:  # which says so if it is not clean
        await site.database.write(lambda c: replies.request(c, site.context.store.outbox, slow))
        await site.database.write(lambda c: deliveries.copy_in(c, slow, now))
        async with asyncio.timeout(20):
            while len(sink.talking_of) < 3:
                await asyncio.sleep(0.05)
    sink.faults.clear()
    async with edge(tmp_path, accounts, keep=True) as site:
        async with asyncio.timeout(30):
            while await site.database.read(lambda c: deliveries.count(c, [D.PENDING, D.ATTEMPTING, D.DEFERRED])):
                await asyncio.sleep(0.1)
        rows = await site.database.read(lambda c: deliveries.listing(c, None, 100))
        assert {(row.state, row.attempt) for row in rows} == {(D.SENT, 1)}, "the stop was no attempt"
    assert len(sink.mails) == 20


@pytest.mark.parametrize(("verb", "kept"), [("MAIL", 0), ("RCPT", 0), ("DATA", 0), ("dot", 0), ("stored", 1)])
async def test_a_sender_that_is_killed_in_the_middle_leaves_an_unknown_and_nothing_is_sent_again(
    tmp_path: Path, sink: SmtpSink, verb: str, kept: int
) -> None:
    """kill -9 of a process, with the server silent at this step; then the next life."""
    account = {"address": "help@shop.example", "smtp": {"host": "127.0.0.1", "port": sink.port, "tls": "none"}}
    accounts: dict[str, Any] = {"email": {"support": account}}
    (tmp_path / "accounts.json").write_bytes(orjson.dumps(accounts))
    made = examples()["reply"]
    assert isinstance(made, Reply)
    made = made.model_copy(update={"created_at": datetime.now(UTC)})
    async with edge(tmp_path, {}) as site:
        out = site.context.store.outbox
        await site.database.write(lambda c: replies.request(c, out, [made]))
        await site.database.write(lambda c: deliveries.copy_in(c, [made], made.created_at))
    sink.faults[verb] = "silent"
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.kit.edge_process", str(tmp_path))
    try:
        async with asyncio.timeout(40):
            while verb not in sink.reached:
                await asyncio.sleep(0.05)
    finally:
        process.kill()
        await process.wait()
    sink.faults.clear()
    async with edge(tmp_path, accounts, keep=True) as site:
        (row,) = await site.database.read(lambda c: deliveries.of_conversation(c, made.conversation_id))
        assert row.state is D.UNKNOWN
        await asyncio.sleep(0.7)  # more than one look at what is due
    assert len(sink.mails) == kept
