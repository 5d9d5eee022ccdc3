"""Signing in to a real relay (exim) over TLS: STARTTLS and at once, by password and by XOAUTH2; and its clock."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bus.brokers.probe import free_port
from channels.email.oauth import TokenFile, Tokens, endpoints
from channels.email.sending.links import Links
from channels.email.sending.transfer import Outcome, transfer
from channels.email.settings import OAuthSettings, SmtpSettings
from runtime.clock import SystemClock
from schemas.states import DeliveryState
from switchboard.clock_check import asked_of, compared, said_by
from tests.conftest import need
from tests.kit import exim as exim_kit
from tests.kit.certificates import certificate
from tests.kit.exim import Exim
from tests.kit.oauth_server import OAuthServer
from tests.kit.smtp_sink import SmtpSink

pytestmark = pytest.mark.acceptance
D = DeliveryState
MAIL = b"From: help@shop.example\r\nTo: ann@customer.example\r\nSubject: x\r\n\r\nwords\r\n"


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exim]:
    path = exim_kit.program()
    need(path, exim_kit.WHAT)
    assert path is not None
    tls = certificate(tmp_path_factory.mktemp("tls"))
    with exim_kit.server(path, door=free_port(), lmtp=free_port(), tls=tls) as found:
        yield found


def links(relay: Exim, tls: str, tokens: Tokens | None = None, **more: Any) -> Links:
    port = relay.tls_port if tls == "implicit" else relay.port
    secret = {"oauth": True} if tokens else {"username": "support", "password": "a pass word"}
    values = {"host": "localhost", "port": port, "tls": tls, "ca_file": "cert.pem", **secret, **more}
    smtp = SmtpSettings.model_validate(values)
    return Links(smtp, SystemClock(), username="help@shop.example", tokens=tokens, config_dir=relay.folder)


async def attempt(found: Links) -> Outcome:
    try:
        return await transfer(found, "help@shop.example", "ann@customer.example", MAIL)
    finally:
        found.prune(all_=True)
        await asyncio.sleep(0.05)  # asyncio closes a socket a moment after it was told


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
async def test_a_password_signs_in_over_tls(relay: Exim, tls: str) -> None:
    before = relay.log.count("A=plain:support")
    outcome = await attempt(links(relay, tls))
    assert outcome.state is D.SENT, (outcome, relay.log)
    took = [line for line in relay.log.splitlines() if "A=plain:support" in line]
    assert len(took) == before + 1
    assert " X=TLS1.3" in took[-1]


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
async def test_xoauth2_signs_in_and_a_token_that_is_refused_is_renewed(relay: Exim, tls: str, tmp_path: Path) -> None:
    with OAuthServer() as server:
        settings = OAuthSettings.model_validate(server.settings())
        file = TokenFile(tmp_path, "help")
        file.save(server.refresh_token("help@shop.example"))
        before = relay.log.count("A=xoauth2:help")
        outcome = await attempt(links(relay, tls, Tokens(settings, file, SystemClock())))
    assert outcome.state is D.SENT, (outcome, relay.log)
    assert relay.log.count("A=xoauth2:help") == before + 1
    assert "access-" not in relay.log
    assert sum(form.get("grant_type") == "refresh_token" for form in server.forms) == 2, "access-2 was refused"


async def test_a_wrong_password_is_ours_to_mend(relay: Exim) -> None:
    outcome = await attempt(links(relay, "starttls", password="wrong"))
    assert (outcome.state, outcome.ours, outcome.detail[:4]) == (D.DEFERRED, True, "AUTH")


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
async def test_a_certificate_that_nobody_vouches_for_gets_no_password(relay: Exim, tls: str) -> None:
    before = relay.log.count("A=plain")
    outcome = await attempt(links(relay, tls, ca_file=None))
    assert (outcome.state, "certificate" in outcome.detail.lower()) == (D.DEFERRED, True), outcome
    assert outcome.ours, "until somebody acts"
    assert relay.log.count("A=plain") == before


async def test_a_relay_that_offers_no_tls_gets_no_mail_and_no_password() -> None:
    async with SmtpSink(faults={"AUTH": "235 welcome"}) as sink:
        smtp = SmtpSettings.model_validate(
            {"host": "127.0.0.1", "port": sink.port, "tls": "starttls", "username": "u", "password": "p"}
        )
        outcome = await attempt(Links(smtp, SystemClock()))
        assert (outcome.state, outcome.ours, sink.mails) == (D.DEFERRED, True, [])
        assert "AUTH" not in sink.reached


async def test_the_clock_is_compared_with_the_relays(relay: Exim) -> None:
    found = links(relay, "starttls")
    found.give_back((await found.take())[0])
    found.prune(all_=True)
    theirs, now = said_by(found.greeting), datetime.now(UTC)
    assert theirs is not None, found.greeting
    assert compared("clock", theirs, now, "relay").ok
    for off, words in ((timedelta(minutes=5), "ahead of"), (timedelta(hours=-2), "behind")):
        finding = compared("clock", theirs, now + off, "relay")
        assert (finding.ok, words in finding.detail) == (False, True), finding


async def test_the_clock_is_compared_with_a_web_servers() -> None:
    with OAuthServer() as server:
        theirs = await asked_of(f"{server.url}/token")
    assert theirs is not None
    assert compared("clock", theirs, datetime.now(UTC), "server").ok
    assert await asked_of("http://127.0.0.1:1/") is None
    assert compared("clock", None, datetime.now(UTC), "").detail.startswith("not looked at")


def test_microsoft_is_asked_for_sending_only_where_the_account_sends_by_it() -> None:
    settings = OAuthSettings.model_validate({"provider": "microsoft", "client_id": "c"})
    assert "https://outlook.office.com/SMTP.Send" in endpoints(settings, sends=True).scope.split()
    assert "SMTP.Send" not in endpoints(settings).scope
    own = settings.model_copy(update={"scope": "own words"})
    assert endpoints(own, sends=True).scope == "own words"
