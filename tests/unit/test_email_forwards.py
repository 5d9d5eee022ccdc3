"""A forward by one of our own people belongs to the customer who wrote it."""

import pytest

from channels.email.parser.parse import parse
from channels.email.parser.report import report
from tests.kit.contacts import NOW

FORWARD = """From: {sender}
To: help@shop.example
Authentication-Results: mx.shop.example; dmarc={dmarc} header.from=shop.example
Received: from a by mx.shop.example; Wed, 25 Nov 2026 10:00:00 +0000
Subject: Fwd: Lamp
Message-ID: <f@shop.example>

Please look.

---------- Forwarded message ---------
From: Ann <{customer}>
Date: Tue, 24 Nov 2026 at 09:00
Subject: Lamp
To: Carl <carl@shop.example>

My lamp is broken.
"""


@pytest.mark.parametrize(
    ("sender", "dmarc", "customer", "whose"),
    [
        ("carl@shop.example", "pass", "ann@example.org", "ann@example.org"),
        ("carl@shop.example", "fail", "ann@example.org", "carl@shop.example"),
        ("eve@other.example", "pass", "ann@example.org", "eve@other.example"),
        ("carl@shop.example", "pass", "dora@shop.example", "carl@shop.example"),
        ("carl@shop.example", "pass", "help@shop.example", "carl@shop.example"),
    ],
    ids=["a colleague", "a forged colleague", "a stranger", "from colleague to colleague", "our own answer"],
)
def test_whose_mail_a_forward_is(sender: str, dmarc: str, customer: str, whose: str) -> None:
    raw = FORWARD.format(sender=sender, dmarc=dmarc, customer=customer).replace("\n", "\r\n").encode()
    made = parse(
        raw,
        account="help",
        received_at=NOW,
        authserv_ids=("mx.shop.example",),
        own_addresses=("help@shop.example",),
        colleagues=("shop.example",),
    )
    assert made.sender.address == whose
    known = {"authserv_ids": ["mx.shop.example"], "own_addresses": ["help@shop.example"]}
    told = report(raw, file="a.eml", known={**known, "colleagues": ["shop.example"]})
    assert told["sender"]["address"] == whose
    assert ("forwarded_by_us" in made.flags) == (whose == "ann@example.org")
    if whose == "ann@example.org":
        assert made.sender.verdict == "unknown"
        assert told["auth"]["verdict"] == "unknown"
        assert (told["may_auto_answer"]["to"], told["may_auto_answer"]["because"]) == (whose, ["unknown_sender"])
    assert "My lamp is broken." in made.text


@pytest.mark.parametrize(
    ("innermost", "whose"),
    [
        ("ann@example.org", "ann@example.org"),
        ("dora@shop.example", "carl@shop.example"),
        ("help@shop.example", "carl@shop.example"),
    ],
)
def test_a_forward_of_a_forward_is_the_customers(innermost: str, whose: str) -> None:
    twice = FORWARD.format(sender="carl@shop.example", dmarc="pass", customer="dora@shop.example").replace(
        "My lamp is broken.",
        f"---------- Forwarded message ---------\nFrom: Ann <{innermost}>\nDate: Mon\nSubject: Lamp\n"
        "To: dora@shop.example\n\nMy lamp is broken.",
    )
    known = {
        "authserv_ids": ["mx.shop.example"],
        "own_addresses": ["help@shop.example"],
        "colleagues": ["shop.example"],
    }
    assert report(twice.replace("\n", "\r\n").encode(), file="a.eml", known=known)["sender"]["address"] == whose
