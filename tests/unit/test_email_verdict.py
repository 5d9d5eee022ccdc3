"""Whose Authentication-Results count, and where they have to stand."""

import pytest

from channels.email.parser.verdict import authenticated
from tests.kit.told import told

GOOD = "dmarc=pass header.from=example.org"
OURS = ("Authentication-Results", f"mx.shop.example; {GOOD}")
FOREIGN = ("Received", "from a by mx.evil.example (x) with ESMTP; Mon, 4 May 2026 10:00:00 +0200")
BORDER = ("Received", "from mx.evil.example (x) by mx.shop.example with ESMTP; Mon, 4 May 2026 10:00:00 +0200")
INNER = ("Received", "from mx.shop.example by imap.shop.example with LMTP; Mon, 4 May 2026 10:00:00 +0200")


def verdict(*fields: tuple[str, str], sender: str = "ann@example.org", **more: object) -> str:
    return authenticated(fields, sender, ("mx.shop.example",), **more).verdict  # type: ignore[arg-type]


def test_a_field_counts_above_the_first_received_that_is_not_ours() -> None:
    assert verdict(OURS, BORDER, FOREIGN) == "verified"
    assert verdict(INNER, OURS, BORDER) == "verified"
    assert verdict(FOREIGN, OURS) == "unknown"
    assert verdict(INNER, FOREIGN, OURS) == "unknown"
    assert verdict(("Received", "from nowhere; Mon"), OURS) == "unknown"


def test_what_stands_below_our_border_counts_only_where_nothing_stands_above() -> None:
    none = ("Authentication-Results", "mx.shop.example; dmarc=none header.from=example.org")
    assert verdict(none, BORDER, OURS) == "unknown"
    assert verdict(BORDER, OURS, FOREIGN) == "verified", "as Google writes it"


def test_two_fields_of_two_milters_are_read_together() -> None:
    dkim = ("Authentication-Results", "mx.shop.example; dkim=fail (bad) header.d=example.org")
    found = authenticated([dkim, OURS, BORDER], "ann@example.org", ("mx.shop.example",))
    assert (found.verdict, found.dkim, found.dmarc, found.aligned) == ("verified", "fail", "pass", True)
    assert found.authserv_id == "mx.shop.example"


def test_a_malformed_field_does_not_spoil_the_others() -> None:
    for bad in (
        "mx.shop.example; ((",
        "",
        "mx.shop.example; dkim",
        "spf=pass smtp.mailfrom=x",
        "mx.shop.example; dmarc=pass; dmarc=pass",
    ):
        assert verdict(("Authentication-Results", bad), OURS) == "verified"


def test_a_failed_dmarc_wins() -> None:
    fail = ("Authentication-Results", "mx.shop.example; dmarc=fail header.from=example.org")
    assert verdict(OURS, fail) == "failed"


def test_a_parent_domain_signs_for_its_children_and_not_the_other_way() -> None:
    dkim = ("Authentication-Results", "mx.shop.example; dkim=pass header.d=example.org")
    assert verdict(dkim, sender="ann@mail.example.org") == "verified"
    child = ("Authentication-Results", "mx.shop.example; dkim=pass header.d=evil.example.org")
    assert verdict(child) == "unknown"


MICROSOFT = (
    "Authentication-Results",
    "spf=pass (sender IP is 192.0.2.1)\r\n smtp.mailfrom=example.org;"
    "dkim=pass (signature was verified) header.d=example.org;"
    "dmarc=pass action=none header.from=example.org;compauth=pass reason=100",
)
HOP = ("Received", "from A.prod.outlook.com by B.prod.outlook.com with HTTPS; Mon, 4 May 2026 10:00:00 +0000")
EDGE = ("Received", "from mx.example.org (192.0.2.1) by C.mail.protection.outlook.com with Microsoft SMTP Server; Mon")


def test_exchange_onlines_form_counts_with_its_profile_and_in_its_place_only() -> None:
    assert verdict(HOP, MICROSOFT, EDGE, profile="microsoft365") == "verified"
    assert verdict(HOP, MICROSOFT, EDGE) == "unknown"
    assert verdict(HOP, EDGE, FOREIGN, MICROSOFT, profile="microsoft365") == "unknown"


@pytest.mark.parametrize("ids", [(), ("other.example",)])
def test_nobody_else_is_believed(ids: tuple[str, ...]) -> None:
    assert authenticated([OURS], "ann@example.org", ids).verdict == "unknown"


def test_the_report_shows_what_was_found() -> None:
    found = told(
        "Authentication-Results: mx.shop.example 1; spf=softfail smtp.mailfrom=x.example;\n"
        " dkim=pass header.d=example.org\n"
        "From: a@example.org\nReply-To: thief@evil.example\n\nx",
        authserv_ids=["MX.shop.example"],
    )
    assert found["auth"] == {
        "verdict": "verified",
        "authserv_id": "mx.shop.example",
        "spf": "softfail",
        "dkim": "pass",
        "dmarc": None,
        "aligned": True,
    }
    assert found["may_auto_answer"]["to"] == "a@example.org", "never a Reply-To"


@pytest.mark.parametrize(
    "above",
    [
        "mx.shop.example; none",
        "mx.shop.example; iprev=pass policy.iprev=192.0.2.1",
        "mx.shop.example; auth=pass smtp.auth=x",
        "mx.shop.example; dmarc=fail (unclosed header.from=example.org",
        "mx.shop.example; dmarc=fail header.from=example.org; dmarc=fail header.from=example.org",
        'mx.shop.example; spf=fail (a "b) c) smtp.mailfrom=x; dmarc=fail header.from=example.org',
        "mx.shop.example; dmarc=fail header.from=example.org" + " x=y" * 3000,
        '"mx.shop.example" 1; none',
        "(a comment) mx.shop.example; none",
    ],
    ids=["none", "iprev", "auth", "unclosed", "twice", "quote in a comment", "too long", "quoted id", "comment first"],
)
def test_a_field_of_ours_without_a_usable_result_still_stands_above_the_border(above: str) -> None:
    assert verdict(("Authentication-Results", above), BORDER, OURS) == "unknown"
    assert verdict(("Authentication-Results", above), OURS, BORDER) == "verified", "it spoils nothing beside it"


def test_exchange_onlines_field_without_a_usable_result_stands_above_too() -> None:
    bare = ("Authentication-Results", "compauth=fail reason=000")
    assert verdict(HOP, bare, EDGE, MICROSOFT, profile="microsoft365") == "unknown"


@pytest.mark.parametrize(
    "said",
    [
        "mx.shop.example; spf=pass smtp.mailfrom=x;dmarc=pass header.from=example.org;@evil.example",
        "mx.shop.example; spf=pass smtp.mailfrom=example.org @evil.example",
    ],
)
def test_a_return_path_that_was_copied_without_quotes_proves_nothing(said: str) -> None:
    assert verdict(("Authentication-Results", said), BORDER) == "unknown"


@pytest.mark.parametrize(
    ("said", "sender", "expected"),
    [
        ("mx.shop.example; dkim=pass header.i=@example.org header.s=s1", "ann@example.org", "verified"),
        ("mx.shop.example; dkim=pass header.i=@example.org header.d=evil.example", "ann@example.org", "unknown"),
        ('"mx.shop.example"; dmarc=pass header.from=example.org', "ann@example.org", "verified"),
        ("mx.shop.example; dmarc=pass header.from=xn--mller-kva.de", "ann@müller.de", "verified"),
        ("mx.shop.example; dmarc=pass header.from=strasse.de", "ann@straße.de", "unknown"),
        ("mx.shop.example; dmarc=fail header.from=EXAMPLE.org.", "ann@example.org", "failed"),
        ("mx.shop.example; dmarc=fail header.from=example.org", "ann@mail.example.org", "failed"),
        ("mx.shop.example; dmarc=fail header.from=other.example", "ann@example.org", "unknown"),
    ],
)
def test_the_forms_in_which_a_result_names_its_domain(said: str, sender: str, expected: str) -> None:
    assert verdict(("Authentication-Results", said), BORDER, sender=sender) == expected
