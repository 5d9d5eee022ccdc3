"""`channels test-send` and `channels check` as people use them."""

import asyncio
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.test_mail_commands import configured, sb
from tests.kit.smtp_sink import SmtpSink

pytestmark = pytest.mark.acceptance


async def run(folder: Path, sink: SmtpSink, *words: str, **smtp: Any) -> subprocess.CompletedProcess[str]:
    relay = {"host": "127.0.0.1", "port": sink.port, "tls": "none", **smtp}
    config = configured(folder, smtp=relay, signature="Example Shop")
    return await asyncio.to_thread(sb, config, *words)


async def test_test_send_says_that_the_relay_took_it(tmp_path: Path) -> None:
    async with SmtpSink() as sink:
        done = await run(tmp_path, sink, "test-send", "help", "--to", "me@shop.example")
    assert done.returncode == 0, done.stderr
    assert "the relay took it" in done.stderr
    (sender, recipients, raw) = sink.mails[0]
    assert (sender, recipients) == ("help@shop.example", ["me@shop.example"])
    assert b"Example Shop" in raw


async def test_a_refusal_is_said_in_words(tmp_path: Path) -> None:
    async with SmtpSink({"RCPT": "550 5.1.1 user unknown"}) as sink:
        done = await run(tmp_path, sink, "test-send", "help", "--to", "nobody@shop.example")
    assert done.returncode == 1
    assert "there is no such mailbox" in done.stderr


async def test_check_says_that_the_clock_is_wrong(tmp_path: Path) -> None:
    async with SmtpSink({"connect": "220 mx.example ESMTP Exim 4.96 Wed, 04 Mar 2026 10:01:00 +0000"}) as sink:
        done = await run(tmp_path, sink, "check", "--json")
    found = {row["service"]: row for line in done.stdout.splitlines() for row in [json.loads(line)]}
    assert (done.returncode, found["relay of help"]["ok"]) == (1, True)
    assert "this machine's clock is" in found["clock, by help"]["detail"]
    assert "NTP" in found["clock, by help"]["hint"]


async def test_check_says_what_is_wrong_with_the_sign_in(tmp_path: Path) -> None:
    sink = SmtpSink({"EHLO": "250-sink\r\n250 AUTH PLAIN", "AUTH": "535 5.7.8 no"})
    async with sink:
        done = await run(tmp_path, sink, "check", "--json", username="support", password="wrong-word")
    (relay,) = [row for line in done.stdout.splitlines() if (row := json.loads(line))["service"] == "relay of help"]
    assert done.returncode == 1
    assert relay["detail"].startswith("AUTH: 535")
    assert "password" in relay["hint"]
    assert "wrong-word" not in done.stdout + done.stderr


def findings(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, Any]]:
    return {row["service"]: row for line in done.stdout.splitlines() for row in [json.loads(line)]}


@pytest.mark.parametrize(
    ("senders", "own", "null"),
    [
        ({}, True, True),
        ({"": "501 5.1.7 Invalid MAIL FROM address provided"}, True, False),
        ({"help@shop.example": "550 5.7.1 not you"}, False, True),
    ],
)
async def test_check_sees_that_the_relay_refuses_a_return_path(
    tmp_path: Path, senders: dict[str, str], own: bool, null: bool
) -> None:
    async with SmtpSink(senders=senders) as sink:
        found = findings(await run(tmp_path, sink, "check", "--json"))
        assert sink.talking_of == {}
        assert sink.mails == []
    assert found["relay of help"]["ok"]
    assert (found["answers of help"]["ok"], found["automatic answers of help"]["ok"]) == (own, null)
    if not null:
        refused = found["automatic answers of help"]
        assert refused["detail"] == "MAIL: 501 5.1.7 Invalid MAIL FROM address provided"
        assert "MAIL FROM:<>" in refused["hint"]
    if not own:
        assert "send as help@shop.example" in found["answers of help"]["hint"]


async def test_check_without_a_selector_says_how_to_have_dkim_looked_at(tmp_path: Path) -> None:
    async with SmtpSink() as sink:
        found = findings(await run(tmp_path, sink, "check", "--json"))
    assert "not looked at" in found["DKIM of help"]["detail"]
    assert "channels.email.help.dkim_selector" in found["DKIM of help"]["hint"]


async def test_a_test_mail_whose_link_was_lost_after_the_dot_may_have_arrived(tmp_path: Path) -> None:
    async with SmtpSink({"stored": "reset"}) as sink:
        done = await run(tmp_path, sink, "test-send", "help", "--to", "me@shop.example")
    assert done.returncode == 1
    assert "it may have arrived. Look for it at me@shop.example" in done.stderr
