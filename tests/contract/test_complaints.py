"""Feedback reports (RFC 5965): who complained about a mail of ours gets answers of people only; on every database."""

from pathlib import Path

import pytest

from channels.email.parser.parse import parse
from schemas.interaction import Contact, EmailContent
from store import customers, policies
from store.database import Database
from tests.contract.test_applier import OPENING_HOURS, House
from tests.contract.test_bounces import SENT_AS, answered
from tests.kit.contacts import NOW, email
from tests.kit.policies import example_policy

REPORT = """From: <complaints@mail.example>
To: <help@shop.example>
Subject: FW: Re: Opening hours
Message-ID: <{key}@mail.example>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="b"

--b
Content-Type: text/plain

This is an email abuse report.

--b
Content-Type: message/feedback-report

Feedback-Type: {kind}
User-Agent: Example/1.0
Version: 1
{more}

--b
Content-Type: text/rfc822-headers

From: help@shop.example
Message-ID: <{about}>

--b--
"""


@pytest.fixture
async def house(database: Database, tmp_path: Path) -> House:
    policy = example_policy()
    await database.write(lambda c: policies.activate(c, policy.version, policy.source.to_json(), NOW))
    return House(database, tmp_path)


def report(key: str = "c1", *, kind: str = "abuse", about: str = SENT_AS, more: str = "") -> Contact:
    raw = (
        REPORT.format(key=key, kind=kind, about=about, more=more)
        .replace("\n", "\r\n")
        .replace("\r\n\r\n\r\n", "\r\n\r\n")
    )
    return parse(raw.encode(), account="support", received_at=NOW)


def test_a_report_says_which_mail_and_who() -> None:
    content = report(more="Original-Rcpt-To: rfc822; Ann@Example.org").content
    assert isinstance(content, EmailContent)
    assert content.complaint is not None
    assert content.complaint.model_dump() == {
        "kind": "abuse",
        "recipients": ("ann@example.org",),
        "about_message_id": SENT_AS,
    }


@pytest.mark.parametrize(
    ("contact", "tags"),
    [
        (report(), ("suppressed",)),
        (report(more="Original-Rcpt-To: ann@example.org"), ("suppressed",)),
        (report(kind="not-spam"), ()),
        (report(about="somebody.elses@mail.example"), ()),
    ],
    ids=["nobody named", "named", "not spam", "no mail of ours"],
)
async def test_who_complained_is_suppressed(house: House, contact: Contact, tags: tuple[str, ...]) -> None:
    asked, _ = await answered(house)
    await house.push(house.decide(await house.accept(contact)))
    known = await house.database.read(lambda c: customers.by_id(c, [asked.customer_id]))
    assert known[asked.customer_id].tags == tags


@pytest.mark.parametrize("tag", ["suppressed", "undeliverable"])
async def test_no_machine_answers_who_is_suppressed(house: House, tag: str) -> None:
    asked = await house.accept(email(subject=OPENING_HOURS, text=OPENING_HOURS))
    assert house.decide(asked).outcome == "answer"
    decided = house.decide(asked, customer_tags=(tag,))
    assert (decided.outcome, decided.answer) == ("queue", None)
    assert decided.refused
