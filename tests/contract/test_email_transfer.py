"""One attempt to send a mail, against an SMTP server that fails on command: what it means, and what it never does."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiosmtplib
import pytest

from channels.email.sending import links as links_
from channels.email.sending import transfer as transfer_
from channels.email.sending.links import Links
from channels.email.settings import SmtpSettings
from runtime.clock import SystemClock
from schemas.states import DeliveryState
from tests.kit.certificates import certificate
from tests.kit.smtp_sink import SmtpSink

D = DeliveryState
BEFORE_THE_DOT = ["connect", "EHLO", "AUTH", "MAIL", "RCPT", "DATA"]


@pytest.fixture
async def sink() -> AsyncIterator[SmtpSink]:
    async with SmtpSink() as found:
        yield found


async def attempt(sink: SmtpSink, mail: bytes = b"Subject: x\r\n\r\n.dot\r\n") -> transfer_.Outcome:
    """Signed in first."""
    sink.extensions = ("AUTH PLAIN",)
    relay = links(sink.port, username="u", password="p")
    return await transfer_.transfer(relay, "help@shop.example", "ann@example.org", mail)


def links(port: int, **more: Any) -> Links:
    relay = SmtpSettings(host="127.0.0.1", port=port, **{"tls": "none", **more})
    return Links(relay, SystemClock(), username="support")


async def test_a_mail_that_was_taken_is_sent(sink: SmtpSink) -> None:
    outcome = await attempt(sink)
    assert outcome.state is D.SENT
    assert sink.mails == [("help@shop.example", ["ann@example.org"], b"Subject: x\r\n\r\n.dot")]


@pytest.mark.parametrize(
    "body", [b".x", b".", b"..", b"a\r\n.\r\nb", b"...\r\n.\r\n.\r\n..y", b"a\n.\nb\r.c", b"\r\n.\r\n"]
)
@pytest.mark.parametrize("head", [b"Subject: x\r\n\r\n", b""])
async def test_lines_that_begin_with_a_dot_come_back_unharmed(sink: SmtpSink, head: bytes, body: bytes) -> None:
    assert (await attempt(sink, head + body)).state is D.SENT
    ((_, _, raw),) = sink.mails
    assert raw.split(b"\r\n") == (head + body).removesuffix(b"\r\n").splitlines()


@pytest.mark.parametrize("verb", [*BEFORE_THE_DOT, "dot"])
async def test_4xx_defers(sink: SmtpSink, verb: str) -> None:
    sink.faults[verb] = "451 4.7.1 later"
    outcome = await attempt(sink)
    assert outcome.state is D.DEFERRED
    assert "451" in outcome.detail


@pytest.mark.parametrize(
    ("verb", "state"),
    [
        ("connect", D.DEFERRED),
        ("EHLO", D.DEFERRED),
        ("AUTH", D.DEFERRED),
        ("MAIL", D.DEFERRED),
        ("RCPT", D.FAILED),
        ("DATA", D.FAILED),
        ("dot", D.FAILED),
    ],
)
async def test_5xx_is_ours_until_the_recipient_and_final_from_there(
    sink: SmtpSink, verb: str, state: DeliveryState
) -> None:
    sink.faults[verb] = "550 5.1.1 no"
    outcome = await attempt(sink)
    assert (outcome.state, "550" in outcome.detail, sink.mails) == (state, True, [])


@pytest.mark.parametrize("verb", BEFORE_THE_DOT)
async def test_a_link_that_breaks_before_the_data_defers(sink: SmtpSink, verb: str) -> None:
    sink.faults[verb] = "reset"
    assert (await attempt(sink)).state is D.DEFERRED
    assert sink.mails == []


@pytest.mark.parametrize(("verb", "kept"), [("dot", 0), ("stored", 1)])
async def test_a_link_that_breaks_after_the_dot_is_unknown_kept_or_not(sink: SmtpSink, verb: str, kept: int) -> None:
    sink.faults[verb] = "reset"
    assert (await attempt(sink)).state is D.UNKNOWN
    assert len(sink.mails) == kept


@pytest.mark.parametrize(
    ("verb", "state"),
    [*((verb, D.DEFERRED) for verb in BEFORE_THE_DOT), ("dot", D.UNKNOWN), ("stored", D.UNKNOWN)],
)
async def test_silence(sink: SmtpSink, verb: str, state: DeliveryState, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer_, "COMMAND_TIMEOUT_S", 0.3)
    monkeypatch.setattr(transfer_, "DOT_TIMEOUT_S", 0.3)
    monkeypatch.setattr(links_, "CONNECT_TIMEOUT_S", 0.3)
    monkeypatch.setattr(links_, "AUTH_TIMEOUT_S", 0.3)
    sink.faults[verb] = "silent"
    async with asyncio.timeout(20):
        assert (await attempt(sink)).state is state


@pytest.mark.parametrize("answer", ["354 again", "150 well", "nonsense", "251 elsewhere"])
async def test_an_unclear_answer_to_the_dot_is_never_tried_again(sink: SmtpSink, answer: str) -> None:
    sink.faults["stored"] = answer
    outcome = await attempt(sink)
    assert outcome.state is (D.SENT if answer[0] == "2" else D.UNKNOWN)
    assert len(sink.mails) == 1


BIG = b"Subject: x\r\n\r\n" + b"0123456789\r\n" * 2_000_000


async def test_a_link_that_breaks_before_the_whole_mail_has_left_defers(sink: SmtpSink) -> None:
    sink.faults["half"] = "reset"
    outcome = await attempt(sink, BIG)
    assert outcome.state is D.DEFERRED, "the dot cannot have passed"
    assert sink.mails == []


@pytest.mark.parametrize(
    ("answer", "state"), [("552 5.3.4 too big", D.FAILED), ("451 later", D.DEFERRED), ("250 kept", D.DEFERRED)]
)
async def test_what_is_said_half_way_through_the_mail_is_no_answer_to_the_dot(
    sink: SmtpSink, answer: str, state: DeliveryState
) -> None:
    sink.faults["half"] = answer
    outcome = await attempt(sink, BIG)
    assert (outcome.state, outcome.detail) == (state, f"DATA: {answer}")


async def test_a_mail_that_does_not_leave_any_more_defers(sink: SmtpSink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer_, "BLOCK_TIMEOUT_S", 0.3)
    sink.faults["half"] = "silent"
    assert (await attempt(sink, BIG)).state is D.DEFERRED


@pytest.mark.parametrize(("tls", "rest_s"), [("none", 0.01), ("implicit", 0.03)])
async def test_a_line_may_be_slow_as_long_as_something_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tls: str, rest_s: float
) -> None:
    monkeypatch.setattr(transfer_, "BLOCK_TIMEOUT_S", 1.5)
    monkeypatch.setattr(transfer_, "DOT_TIMEOUT_S", 1.5)
    relay: dict[str, Any] = {"tls": tls}
    context = None
    if tls == "implicit":
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*certificate(tmp_path))
        relay["ca_file"] = str(tmp_path / "cert.pem")
    async with SmtpSink(tls=context, slow_s=rest_s) as slow:
        outcome = await transfer_.transfer(links(slow.port, **relay), "a@x.org", "b@x.org", BIG)
        assert (outcome.state, len(slow.mails)) == (D.SENT, 1)


def test_the_patience_of_rfc_5321() -> None:
    assert transfer_.DOT_TIMEOUT_S >= 600
    assert transfer_.BLOCK_TIMEOUT_S >= 180
    assert transfer_.COMMAND_TIMEOUT_S < transfer_.BLOCK_TIMEOUT_S, "of a server that says nothing at all"


async def test_an_address_that_the_relay_cannot_be_told_fails(sink: SmtpSink) -> None:
    assert (await transfer_.transfer(links(sink.port), "", "jürgen@example.org", b"x")).state is D.FAILED


async def test_nobody_listens(sink: SmtpSink) -> None:
    assert (await transfer_.transfer(links(1), "a@x.org", "b@x.org", b"x")).state is D.DEFERRED


class Once(dict[str, str]):
    """Faults that are played once."""

    def get(self, verb: str, usual: Any = None) -> Any:
        return self.pop(verb, usual)


@pytest.mark.parametrize("fault", ["reset", "421 4.4.2 idle for too long"])
async def test_a_link_that_the_server_has_closed_since_the_last_mail_costs_nothing(sink: SmtpSink, fault: str) -> None:
    relay = links(sink.port)
    assert (await transfer_.transfer(relay, "a@x.org", "b@x.org", b"x")).state is D.SENT
    sink.faults = Once({"MAIL": fault})
    assert (await transfer_.transfer(relay, "a@x.org", "b@x.org", b"x")).state is D.SENT
    assert (relay.opened, len(sink.mails)) == (2, 2)
    relay.prune(all_=True)


async def test_a_sender_that_may_have_been_taken_for_gone_says_no_data(sink: SmtpSink) -> None:
    outcome = await transfer_.transfer(links(sink.port), "a@x.org", "b@x.org", b"x", lambda: False)
    assert (outcome.state, sink.mails) == (D.DEFERRED, [])


async def test_a_link_is_used_again_and_one_that_died_is_not(sink: SmtpSink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links_, "WARM_S", 0.0)
    relay = links(sink.port)
    for _ in range(3):
        assert (await transfer_.transfer(relay, "a@x.org", "b@x.org", b"x")).state is D.SENT
    assert relay.opened == 1
    sink.faults["NOOP"] = "reset"
    assert (await transfer_.transfer(relay, "a@x.org", "b@x.org", b"x")).state is D.SENT
    assert relay.opened == 2
    relay.prune(all_=True)


async def test_an_address_that_needs_smtputf8_goes_where_it_is_offered(sink: SmtpSink) -> None:
    sink.extensions = ("SMTPUTF8",)
    assert (await transfer_.transfer(links(sink.port), "", "jürgen@example.org", b"x")).state is D.SENT


async def test_a_header_field_that_needs_smtputf8_asks_for_it(sink: SmtpSink) -> None:
    mail = "From: jürgen@shop.example\r\n\r\nx".encode()
    outcome = await transfer_.transfer(links(sink.port), "", "ann@example.org", mail)
    assert (outcome.state, outcome.ours) == (D.DEFERRED, True), "it is our own address"
    sink.extensions = ("SMTPUTF8",)
    assert (await transfer_.transfer(links(sink.port), "", "ann@example.org", mail)).state is D.SENT


@pytest.mark.parametrize(
    ("typed", "wire"),
    [
        ("ann@straße.de", "ann@xn--strae-oqa.de"),
        ("ann@strasse.de", "ann@strasse.de"),
        ("ann@xn--strae-oqa.de", "ann@xn--strae-oqa.de"),
        ("ann@βόλος.gr", "ann@xn--nxasmm1c.gr"),
        ("Ann@BÜCHER.example", "Ann@xn--bcher-kva.example"),
    ],
)
async def test_a_domain_is_the_one_that_was_written(sink: SmtpSink, typed: str, wire: str) -> None:
    await transfer_.transfer(links(sink.port), typed, typed, b"x")
    assert sink.mails == [(wire, [wire], b"x")]


@pytest.mark.parametrize("verb", ["connect", "EHLO", "AUTH", "MAIL"])
async def test_what_the_relay_refuses_to_us_is_ours(sink: SmtpSink, verb: str) -> None:
    sink.faults[verb] = "550 5.7.1 not you"
    outcome = await attempt(sink)
    assert (outcome.state, outcome.ours, outcome.away) == (D.DEFERRED, True, True)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"tls": "starttls"}, "does not offer STARTTLS"),
        ({"username": "u", "password": "p"}, "no way to sign in"),
        ({"tls": "starttls", "ca_file": "nowhere.pem"}, "smtp.ca_file cannot be read"),
    ],
)
async def test_a_relay_that_does_not_fit_its_settings_is_ours(
    sink: SmtpSink, settings: dict[str, Any], words: str
) -> None:
    outcome = await transfer_.transfer(links(sink.port, **settings), "a@x.org", "b@x.org", b"x")
    assert (outcome.state, outcome.ours, outcome.away) == (D.DEFERRED, True, True)
    assert (words in outcome.detail, sink.mails) == (True, [])


@pytest.mark.parametrize(
    ("verb", "fault", "away"),
    [
        ("connect", "reset", True),
        ("connect", "421 later", True),
        ("AUTH", "451 later", True),
        ("MAIL", "reset", True),
        ("MAIL", "451 enough of you for now", False),
        ("RCPT", "450 greylisted", False),
        ("RCPT", "reset", False),
    ],
)
async def test_a_relay_that_is_away_is_told_from_one_that_says_later(
    sink: SmtpSink, verb: str, fault: str, away: bool
) -> None:
    sink.faults[verb] = fault
    outcome = await attempt(sink)
    assert (outcome.state, outcome.away) == (D.DEFERRED, away)


@pytest.mark.parametrize(
    ("octets", "words"),
    [
        ("Empfänger unbekannt".encode("latin-1"), "Empfänger unbekannt"),
        ("Empfänger".encode() + b" \x84unbekannt\x93", "Empfänger „unbekannt“"),
        (b"a\x00b\x1b[31m\x81", "a b [31m�"),
    ],
)
async def test_words_that_are_not_utf8_can_be_read_and_written(sink: SmtpSink, octets: bytes, words: str) -> None:
    sink.faults["RCPT"] = told(b"550 5.1.1 " + octets)
    outcome = await attempt(sink)
    assert (outcome.state, outcome.detail) == (D.FAILED, f"RCPT: 550 5.1.1 {words}")


def told(octets: bytes) -> str:
    return octets.decode("utf-8", "surrogateescape")


@pytest.mark.parametrize(("at", "state"), [("rcpt", D.DEFERRED), ("give_back", D.UNKNOWN)])
async def test_an_attempt_never_raises(
    sink: SmtpSink, at: str, state: DeliveryState, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bug(*_: object, **__: object) -> None:
        raise RuntimeError("a bug, as told")

    monkeypatch.setattr(Links if at == "give_back" else aiosmtplib.SMTP, at, bug)
    outcome = await attempt(sink)
    assert (outcome.state, "a bug, as told" in outcome.detail) == (state, True)
