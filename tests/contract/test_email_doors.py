"""The doors for mail servers: what they offer, what they refuse, and what each recipient is told."""

import asyncio
import smtplib
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from schemas.errors import ConfigError
from store.tables import interactions, refusals
from tests.kit.certificates import certificate
from tests.kit.edge import Edge, edge

MAIL = "From: {sender}\r\nTo: help@shop.example\r\nSubject: Hi\r\nMessage-ID: <{key}@example.org>\r\n\r\n{text}\r\n"
ACCOUNTS = {
    "help": {"address": "help@shop.example", "aliases": ["hilfe@shop.example"], "blocked": ["spam.example", "x@y.org"]},
    "sales": {"address": "sales@shop.example"},
}


def mail(key: str = "k", *, sender: str = "Ann <ann@example.org>", text: str = "words") -> bytes:
    return MAIL.format(key=key, sender=sender, text=text).encode()


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Edge]:
    cert, key = certificate(tmp_path)
    ingress = {"lmtp_bind": "127.0.0.1:0", "tls_cert": cert.name, "tls_key": key.name}
    async with edge(tmp_path, {"email": ACCOUNTS}, smtp_ingress=ingress) as found:
        yield found


def door(site: Edge) -> Any:
    return site.parts["email"].inbound[1]


async def smtp(site: Edge, talk: Callable[[smtplib.SMTP], Any]) -> Any:
    def work() -> Any:
        with smtplib.SMTP("127.0.0.1", door(site).port, timeout=10) as client:
            client.ehlo("me")
            return talk(client)

    return await asyncio.to_thread(work)


async def wire(port: int, lines: bytes) -> list[bytes]:
    """What the server says to bytes that no client library would send."""
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(lines)
        answer = await reader.read()
        writer.close()
    return answer.splitlines()


def data(client: smtplib.SMTP, raw: bytes, *to: str, sender: str = "ann@example.org") -> tuple[int, bytes]:
    client.mail(sender)
    for each in to or ("help@shop.example",):
        code, words = client.rcpt(each)
        if code != 250:
            return code, words
    return client.data(raw)


async def counted(site: Edge) -> dict[tuple[str, str], int]:
    rows = await site.database.read(lambda c: c.execute(select(refusals)).all())
    return {(row.account, row.reason): row.count for row in rows}


async def kept(site: Edge) -> list[dict[str, Any]]:
    return list(await site.database.read(lambda c: c.scalars(select(interactions.c.body)).all()))


async def test_starttls_is_offered_and_works_and_nobody_can_sign_in(site: Edge, tmp_path: Path) -> None:
    trust = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))

    def talk(client: smtplib.SMTP) -> tuple[bool, bool, int]:
        offered = client.has_extn("starttls")
        client.starttls(context=trust)
        client.ehlo("me")
        return offered, client.has_extn("auth"), data(client, mail())[0]

    def work() -> Any:
        with smtplib.SMTP("localhost", door(site).port, timeout=10) as client:
            client.ehlo("me")
            return talk(client)

    assert await asyncio.to_thread(work) == (True, False, 250)
    assert await site.accepted("email") == 1


@pytest.mark.parametrize("protocol", [smtplib.SMTP, smtplib.LMTP])
async def test_where_tls_is_required_it_is_offered_first(tmp_path: Path, protocol: type[smtplib.SMTP]) -> None:
    """LMTP's greeting was refused, so that nobody learned of STARTTLS."""
    cert, key = certificate(tmp_path)
    trust = ssl.create_default_context(cafile=str(cert))
    ingress = {"lmtp_bind": "127.0.0.1:0", "tls_cert": cert.name, "tls_key": key.name, "require_tls": True}

    def work(port: int) -> tuple[int, bool, int, int]:
        with protocol("localhost", port) as client:
            client.ehlo("me")
            before = client.mail("ann@example.org")[0]
            offered = client.has_extn("starttls")
            client.starttls(context=trust)
            client.ehlo("me")
            code, _ = data(client, mail())
            return before, offered, client.noop()[0], code

    async with edge(tmp_path, {"email": ACCOUNTS}, smtp_ingress=ingress) as site:
        port = door(site).lmtp_port if protocol is smtplib.LMTP else door(site).port
        assert await asyncio.to_thread(work, port) == (530, True, 250, 250)
        assert await site.accepted("email") == 1


async def test_without_its_certificate_the_door_stays_closed(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="tls_cert"):
        async with edge(tmp_path, {"email": ACCOUNTS}, smtp_ingress={"tls_cert": "no.pem", "tls_key": "no.pem"}):
            pass


async def test_the_null_return_path_of_a_bounce_is_seen_as_null(site: Edge) -> None:
    """aiosmtpd spells it `<>`, which was taken for an address."""
    code, _ = await smtp(site, lambda client: data(client, mail(), sender=""))
    assert code == 250
    assert [body["content"]["envelope_from"] for body in await kept(site)] == [""]


async def test_an_alias_and_a_plus_address_are_the_accounts_own_and_another_is_refused(site: Edge) -> None:
    for n, to in enumerate(["hilfe@shop.example", "help+x@shop.example", "HELP@shop.example"]):
        assert (await smtp(site, lambda client, n=n, to=to: data(client, mail(f"k{n}"), to)))[0] == 250
    assert (await smtp(site, lambda client: data(client, mail(), "other@shop.example")))[0] == 550
    assert (await smtp(site, lambda client: data(client, mail(), "postmaster@elsewhere.example")))[0] == 550
    assert await counted(site) == {("ingress", "no such recipient"): 2}


@pytest.mark.parametrize("to", ["postmaster", "postmaster@shop.example"])
async def test_postmaster_can_be_reached_with_or_without_a_domain(site: Edge, to: str) -> None:
    lines = f"EHLO x\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<{to}>\r\nQUIT\r\n".encode()
    assert (await wire(door(site).port, lines))[-2] == b"250 OK"


@pytest.mark.parametrize(
    "evil",
    [b"words\n.\nMAIL FROM:<x@y>", b"words\n.\r\nMAIL FROM:<x@y>", b"words\r.\rMAIL FROM:<x@y>", b"bare\nline feed"],
)
async def test_two_mails_smuggled_in_one_are_refused(site: Edge, evil: bytes) -> None:
    lines = b"EHLO x\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<help@shop.example>\r\nDATA\r\n"
    said = await wire(door(site).port, lines + b"From: a@example.org\r\n\r\n" + evil + b"\r\n.\r\nQUIT\r\n")
    assert said[-2].startswith(b"550 5.6.0")
    assert await site.accepted("email") == 0
    assert await counted(site) == {("help", "bare line end"): 1}


async def test_a_blocked_sender_is_refused_before_the_mail_comes_and_counted(site: Edge) -> None:
    for sender in ("a@spam.example", "a@deep.spam.example", "x@y.org"):
        assert (await smtp(site, lambda client, s=sender: data(client, mail(), sender=s)))[0] == 550
    assert (await smtp(site, lambda client: data(client, mail("other"), sender="other@y.org")))[0] == 250
    assert await counted(site) == {("help", "blocked sender"): 3}


async def test_a_blocked_sender_behind_another_return_path_is_refused_ahead_of_storage(site: Edge) -> None:
    code, _ = await smtp(site, lambda client: data(client, mail(sender="Spam <a@spam.example>")))
    assert code == 550
    assert (await site.balance()).total.accepted == 0
    assert await counted(site) == {("help", "blocked sender"): 1}


async def test_a_mail_over_the_size_is_refused_and_counted(site: Edge) -> None:
    assert (await smtp(site, lambda client: data(client, mail(text="x\r\n" * 50_000))))[0] == 552
    assert await counted(site) == {("help", "too large"): 1}


async def test_when_the_store_goes_away_during_data_the_sender_tries_again_and_finds_one(site: Edge) -> None:
    def talk(client: smtplib.SMTP) -> tuple[int, int]:
        client.mail("ann@example.org")
        client.rcpt("help@shop.example")
        client.docmd("DATA")
        site.intake.away = True  # the mail is on its way already
        client.send(mail() + b".\r\n")
        first = client.getreply()[0]
        site.intake.away = False
        return first, data(client, mail())[0]

    assert await smtp(site, talk) == (451, 250)
    total = (await site.balance()).total
    assert (total.accepted, total.copies) == (1, 0)


async def test_a_refusal_for_one_recipient_does_not_end_the_mail_for_another_that_the_store_kept_waiting(
    site: Edge,
) -> None:
    """The first account that had not accepted gave the answer: 550, and the sender gave the mail up."""
    raw = mail(sender="a@spam.example")  # blocked by help@, by its From field alone
    to = ("help@shop.example", "sales@shop.example")
    site.intake.away = True
    assert (await smtp(site, lambda client: data(client, raw, *to)))[0] == 451
    site.intake.away = False
    assert (await smtp(site, lambda client: data(client, raw, *to)))[0] == 250, "sales@ has taken it"
    assert [body["account"] for body in await kept(site)] == ["sales"]


async def test_a_mail_that_one_recipient_took_ahead_of_a_store_that_went_away_is_one_when_it_comes_again(
    site: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept = site.intake.accept

    async def and_then_away(arrival: Any, now: Any) -> Any:
        try:
            return await accept(arrival, now)
        finally:
            site.intake.away = True

    monkeypatch.setattr(site.intake, "accept", and_then_away)
    to = ("help@shop.example", "sales@shop.example")
    assert (await smtp(site, lambda client: data(client, mail(), *to)))[0] == 451
    monkeypatch.undo()
    site.intake.away = False
    assert (await smtp(site, lambda client: data(client, mail(), *to)))[0] == 250
    assert (await site.balance()).total.accepted == 1


async def lmtp(site: Edge, raw: bytes, *to: str) -> list[bytes]:
    recipients = "".join(f"RCPT TO:<{each}>\r\n" for each in to).encode()
    lines = b"LHLO x\r\nMAIL FROM:<ann@example.org>\r\n" + recipients + b"DATA\r\n" + raw + b".\r\nQUIT\r\n"
    said = await wire(door(site).lmtp_port, lines)
    return said[next(n for n, line in enumerate(said) if line.startswith(b"354")) + 1 : -1]


async def test_lmtp_answers_for_each_recipient_on_its_own(site: Edge) -> None:
    to = ("help@shop.example", "nobody@shop.example", "sales@shop.example")
    said = await lmtp(site, mail(sender="a@spam.example"), *to)
    assert [line[:3] for line in said] == [b"550", b"250"], "refused for one account, taken by the other"
    assert await lmtp(site, mail("two"), "help@shop.example", "sales@shop.example") == [b"250 2.0.0 Accepted"] * 2
    total = (await site.balance()).total
    assert (total.accepted, total.copies) == (2, 1), "one mail in two mailboxes is one"


async def test_lmtp_says_for_each_recipient_that_a_mail_is_too_large(site: Edge) -> None:
    said = await lmtp(site, mail(text="x\r\n" * 50_000), "help@shop.example", "sales@shop.example")
    assert [line[:3] for line in said] == [b"552", b"552"]


async def test_lmtp_speaks_no_smtp(site: Edge) -> None:
    assert (await wire(door(site).lmtp_port, b"EHLO x\r\nQUIT\r\n"))[1].startswith(b"500")
