"""IMAP's words, where reading begins, and the settings of mailboxes. Pure."""

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from channels.email.importing import arrived
from channels.email.mailboxes import wire
from channels.email.mailboxes.folder import SKEW, anew, first
from channels.email.mailfiles import MailFile
from channels.email.settings import EmailSettings, ImapSettings, OAuthSettings
from store.mailboxes import Cursor
from tests.kit.contacts import NOW

PASSWORD = {"host": "imap.example.com", "password": "secret"}
OAUTH = {"client_id": "id"}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("INBOX", '"INBOX"'),
        ("My Folder", '"My Folder"'),
        ("Tom & Jerry", '"Tom &- Jerry"'),
        ("Entwürfe", '"Entw&APw-rfe"'),
        ("~peter/mail/台北/日本語", '"~peter/mail/&U,BTFw-/&ZeVnLIqe-"'),  # RFC 3501's own example
        ('a"b\\c', '"a\\"b\\\\c"'),
        ("😀", '"&2D3eAA-"'),
    ],
)
def test_folder_names_in_any_script(name: str, said: str) -> None:
    assert wire.mailbox_name(name) == said


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc"])))
def test_a_folders_name_is_printable_ascii_and_says_the_same(name: str) -> None:
    said = wire.mailbox_name(name)
    assert said.isascii()
    assert said.isprintable()
    plain, out = said[1:-1].replace('\\"', '"').replace("\\\\", "\\"), ""
    while plain:
        before, shift, rest = plain.partition("&")
        coded, _, after = rest.partition("-") if shift else ("", "", "")
        data = base64.b64decode(coded.replace(",", "/") + "=" * (-len(coded) % 4))
        out += before + (("&" if not coded else data.decode("utf-16-be")) if shift else "")
        plain = after
    assert out == name


@given(st.sets(st.integers(1, 400), max_size=100))
def test_a_set_of_uids_names_each_once(uids: set[int]) -> None:
    named: list[int] = []
    for part in wire.uid_set(uids).split(",") if uids else []:
        low, _, high = part.partition(":")
        named += range(int(low), int(high or low) + 1)
    assert named == sorted(uids)


def test_what_select_says() -> None:
    lines = [rb"FLAGS (\Seen)", b"3 EXISTS", b"0 RECENT", b"OK [UIDVALIDITY 17] UIDs valid", b"OK [UIDNEXT 9] next"]
    assert wire.selected([*lines, b"[READ-WRITE] Select completed"]) == wire.Selected(17, 9, 3)
    assert wire.selected([b"3 EXISTS", b"OK [UIDVALIDITY 17] x", b"done"]) == wire.Selected(17, 0, 3)
    assert wire.selected([b"3 EXISTS", b"done"]) is None


def test_a_searchs_last_line_is_words_and_no_uids() -> None:
    assert wire.found([b"7 3 5", b"Search completed (0.001 + 0.000 secs) 12"]) == [3, 5, 7]
    assert wire.found([b"", b"done"]) == []
    assert wire.found([b"done"]) == []


def test_a_listing_leaves_out_what_nobody_asked_for() -> None:
    lines = [
        b'1 FETCH (UID 5 RFC822.SIZE 300 INTERNALDATE "17-Jul-1996 02:44:25 -0700")',
        b'2 FETCH (INTERNALDATE " 7-Feb-2026 12:00:00 +0000" RFC822.SIZE 4 UID 6)',
        rb"3 FETCH (FLAGS (\Seen))",
        rb"4 FETCH (UID 8 FLAGS (\Seen))",
        bytearray(b"1 FETCH (UID 9 RFC822.SIZE 1)"),
        b"Fetch completed",
    ]
    assert wire.listed(lines) == {
        5: wire.Listed(5, 300, datetime(1996, 7, 17, 9, 44, 25, tzinfo=UTC)),
        6: wire.Listed(6, 4, datetime(2026, 2, 7, 12, tzinfo=UTC)),
    }


def test_a_mails_text_comes_as_a_literal_as_a_string_or_not_at_all() -> None:
    assert wire.body([b"1 FETCH (UID 5 BODY[]<0> {3}", bytearray(b"a*b"), b")", b"done"]) == b"a*b"
    assert wire.body([b'1 FETCH (UID 5 BODY[]<0> "a\\"b")', b"done"]) == b'a"b'
    assert wire.body([b"1 FETCH (UID 5 BODY[]<0> NIL)", b"done"]) is None
    assert wire.body([b"done"]) is None


@pytest.mark.parametrize("text", [b"", b"31-Feb-2026 00:00:00 +0000", b"1-Jan-0001 00:00:00 +1400", b"now"])
def test_a_date_that_is_none(text: bytes) -> None:
    assert wire.moment(text) is None


@pytest.mark.parametrize(
    ("first_sync", "position", "since"),
    [("new", 41, NOW - SKEW), ("all", 0, None), ("7d", 0, NOW - timedelta(days=7))],
)
def test_where_a_folder_that_was_never_read_begins(first_sync: str, position: int, since: datetime | None) -> None:
    settings = ImapSettings.model_validate({**PASSWORD, "first_sync": first_sync})
    assert first(settings, 17, 42, NOW) == Cursor(validity=17, position=position, backfill_to=41, since=since)


def test_where_a_folder_begins_whose_uids_count_anew() -> None:
    stored = Cursor(validity=17, position=41, backfill_to=3, since=NOW)
    assert anew(stored, 18, 6) == Cursor(validity=18, position=0, backfill_to=5, since=NOW)


@pytest.mark.parametrize(
    ("imap", "problem"),
    [
        ({"host": "h"}, "either a password"),
        ({**PASSWORD, "oauth": OAUTH}, "either a password"),
        ({**PASSWORD, "after": "move"}, "belong together"),
        ({**PASSWORD, "move_to": "Done"}, "belong together"),
        ({**PASSWORD, "after": "move", "move_to": "INBOX"}, "one of the folders that are read"),
        ({**PASSWORD, "tls": "none"}, "this machine only"),
        ({**PASSWORD, "folders": ["a", "a"]}, "named twice"),
        ({**PASSWORD, "folders": ["a\r\nb"]}, "control characters"),
        ({**PASSWORD, "folders": []}, "at least 1"),
        ({**PASSWORD, "first_sync": "yesterday"}, "not a duration"),
        ({**PASSWORD, "poll": "10m"}, "less than or equal"),
        ({"host": "h", "oauth": {"client_id": "id", "provider": "other"}}, "needs token_url and scope"),
        ({"host": "h", "oauth": {"client_id": "id", "token_url": "http://elsewhere.example/"}}, "https only"),
        ({"host": "h", "oauth": {"client_id": "id", "tenant": "a/b"}}, "pattern"),
    ],
)
def test_a_mistake_in_a_mailboxs_settings(imap: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        ImapSettings.model_validate(imap)


def test_several_mistakes_of_a_mailbox_are_told_together() -> None:
    with pytest.raises(ValidationError) as refused:
        ImapSettings.model_validate({"host": "h", "after": "move", "tls": "none"})
    for words in ("either a password", "belong together", "this machine only"):
        assert words in str(refused.value)


def test_secrets_are_not_shown() -> None:
    oauth = {**OAUTH, "client_secret": "hush", "refresh_token": "hush"}
    settings = EmailSettings.model_validate({"address": "a@b.example", "imap": {"host": "h", "oauth": oauth}})
    assert "hush" not in repr(settings) + settings.model_dump_json() + repr(OAuthSettings.model_validate(oauth))


@pytest.mark.parametrize("blocked", ["nonsense", "@", "a b.example", "-x.example"])
def test_what_cannot_be_blocked_is_a_mistake(blocked: str) -> None:
    with pytest.raises(ValidationError, match="neither an address nor a domain"):
        EmailSettings.model_validate({"address": "a@b.example", "blocked": [blocked]})


def test_a_blocked_domain_takes_those_below_it_along_and_no_others() -> None:
    settings = EmailSettings.model_validate({"address": "a@b.example", "blocked": ["@Spam.example", "X@y.org"]})
    assert [settings.blocks(a) for a in ("a@spam.example", "A@X.SPAM.example", "x@Y.org")] == [True] * 3
    assert not any(settings.blocks(a) for a in ("a@notspam.example", "y@y.org", "", "spam.example.org"))


@pytest.mark.parametrize(
    ("raw", "when"),
    [
        (
            b"Received: from a by b;\r\n Wed, 4 Mar 2026 10:00:00 +0100\r\nReceived: x; y\r\n",
            "2026-03-04T09:00:00+00:00",
        ),
        (b"Date: Mon, 1 Jan 2001 00:00:00 +0000\r\n\r\n", None),
        (b"Received: from a by b; some day\r\n\r\n", None),
        (b"Received: no date\r\n\r\n", None),
    ],
)
def test_an_imported_mails_time_is_its_arrival_and_never_its_date_field(raw: bytes, when: str | None) -> None:
    found = arrived(MailFile("/nowhere/at/all", 0, raw), NOW)
    assert found == (datetime.fromisoformat(when) if when else NOW)
