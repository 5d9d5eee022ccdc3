# ruff: noqa: E501 - mails as they come
"""Header fields in the wild, each test named after the trouble that it is about."""

import pytest

from tests.kit.told import told


def field(name: str, value: str | bytes, body: str = "\r\nx", head: str = "") -> dict[str, object]:
    data = value if isinstance(value, bytes) else value.encode("utf-8", "surrogateescape")
    return told(b"To: help@shop.example\r\n" + head.encode() + name.encode() + b": " + data + b"\r\n" + body.encode())


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("=?utf-8?Q?Caf=C3=A9?= =?utf-8?Q?_cr=C3=A8me?=", "Café crème"),
        ("=?utf-8?B?w5xiZXI=?=\r\n =?utf-8?B?IHVucw==?=", "Über uns"),
        ("=?utf-8?B?4pyT4p?= =?utf-8?B?yT?= ok", "✓✓ ok"),  # a character cut in two
        ("=?utf-8?Q?what=3F?=", "what?"),
        ("=?utf-8?Q?what??=", "what?"),
        ("=?utf-8?Q?two words?=", "two words"),
        ("=?iso-8859-1?Q?Gr=FC=DFe?=", "Grüße"),
        ("=?klingon?Q?Gr=C3=BC=C3=9Fe?=", "Grüße"),
        ("=??Q?plain?=", "plain"),
        ("=?utf-8*de?Q?Gr=C3=BC=C3=9Fe?=", "Grüße"),
        ("=?utf-8?B?SGVsbG8gd29ybGQ?=", "Hello world"),
        ("=?utf-8?B?SGVsbG8gd29ybGQ=", "Hello world"),  # cut before its end
        ("Re:=?utf-8?Q?_=C3=A4?=, b", "Re: ä, b"),
        ("=?windows-1251?B?z/Do4uXy?=", "Привет"),
        ("=?gb2312?B?xOO6ww==?=", "你好"),
        ("=?iso-2022-jp?B?GyRCRnxLXBsoQg==?=", "日本"),
        ("=?ks_c_5601-1987?B?vsiz5w==?=", "안녕"),
        ("=?utf-7?Q?a+AOQ-b?=", "aäb"),
        ("=?utf-8?q?Hi=0D=0ABcc=3A all?=", "Hi Bcc: all"),
        ("a =?b c", "a =?b c"),
        ("100% =? sure ?=", "100% =? sure ?="),
    ],
)
def test_rfc_2047_words_whole_and_damaged(written: str, read: str) -> None:
    assert field("Subject", written)["subject"] == read


@pytest.mark.parametrize("charset", ["utf-8", "latin-1"])
def test_undeclared_8_bit_in_the_subject(charset: str) -> None:
    found = field("Subject", "Grüße".encode(charset))
    assert found["subject"] == "Grüße"
    assert "undeclared_8bit_header" in found["defects"]  # type: ignore[operator]


def test_undeclared_8_bit_in_the_charset_that_the_body_declares() -> None:
    body = "Content-Type: text/plain; charset=koi8-r\r\n\r\n" + "x"
    assert field("Subject", "Привет".encode("koi8-r"), body)["subject"] == "Привет"


@pytest.mark.parametrize(
    ("written", "name", "address"),
    [
        ("Ann <Ann@Example.ORG>", "Ann", "ann@example.org"),
        ("ann@example.org", "", "ann@example.org"),
        ("ann@example.org (Ann B)", "Ann B", "ann@example.org"),
        ('"boss@corp.example" <evil@x.example>', "boss@corp.example", "evil@x.example"),
        ("boss@corp.example <evil@x.example>", "boss@corp.example", "evil@x.example"),
        ("Doe, John <john@x.example>", "Doe, John", "john@x.example"),
        ('"Doe, John" <john@x.example>', "Doe, John", "john@x.example"),
        ("=?utf-8?q?Ann=2C_B?= <ann@x.example>", "Ann, B", "ann@x.example"),
        ("=?utf-8?q?J=C3=B6rg?= =?utf-8?q?_M?= <j@x.example>", "Jörg M", "j@x.example"),
        ('"=?utf-8?q?J=C3=B6rg?=" <j@x.example>', "Jörg", "j@x.example"),
        ("=?utf-8?q?Ann_=3Cann=40x=2Eexample=3E?=", "Ann", "ann@x.example"),
        ("Ann <ann@x.example", "Ann", "ann@x.example"),
        ("Ann <<ann@x.example>>", "Ann", "ann@x.example"),
        ("Ann <mailto:ann@x.example>", "Ann", "ann@x.example"),
        ("Ann ann@x.example", "Ann", "ann@x.example"),
        ("<@relay.example:ann@x.example>", "", "ann@x.example"),
        ('"Ann \\"A\\" B" <ann@x.example>', 'Ann "A" B', "ann@x.example"),
        ("Ann (work, or so) <ann@x.example>", "Ann (work, or so)", "ann@x.example"),
        ("'Ann' <ann@x.example>", "Ann", "ann@x.example"),
        ('"ann.b"@x.example', "", "ann.b@x.example"),
        ("Team: Ann <ann@x.example>, bob@x.example;", "Ann", "ann@x.example"),
    ],
)
def test_who_wrote_however_it_is_written(written: str, name: str, address: str) -> None:
    assert field("From", written)["from"] == {"name": name, "address": address}


def test_a_group_without_members_and_unusable_addresses_are_nobody() -> None:
    found = told("From: nobody at all\nTo: undisclosed-recipients:;\nCc: <>, a@, @b\nSender: Ann <ann@x.example>\n\nx")
    assert (found["to"], found["cc"]) == ([], [])
    assert found["from"] == {"name": "nobody at all", "address": ""}
    assert found["sender"] == {"name": "Ann", "address": "ann@x.example"}


def test_an_address_that_no_mail_can_be_sent_to_is_none() -> None:
    assert told('From: "ann b"@x.example\n\nx')["from"] is None


def test_a_mail_without_from_is_its_senders_or_return_paths() -> None:
    assert told("Sender: a@x.example\nSubject: y\n\nx")["sender"]["address"] == "a@x.example"
    found = told("Return-Path: <b@x.example>\nSubject: y\n\nx")
    assert (found["from"], found["sender"]["address"], found["envelope_from"]) == (None, "b@x.example", "b@x.example")
    assert "no_from" in found["defects"]


def test_several_authors_are_shown_and_never_verified() -> None:
    found = told(
        "Authentication-Results: mx.shop.example; dmarc=pass header.from=a.example\n"
        "From: a@a.example, b@b.example\nSubject: y\n\nx",
        authserv_ids=["mx.shop.example"],
    )
    assert found["authors"] == ["a@a.example", "b@b.example"]
    assert found["auth"]["verdict"] == "unknown"


def test_recipients_and_the_paths_that_they_came_by() -> None:
    found = told(
        "Return-Path: <>\nDelivered-To: help@shop.example\nX-Original-To: support@shop.example\n"
        "From: a@x.example\nTo: A <b@x.example>, c@x.example; d@x.example\nCc: e@x.example\nReply-To: R <r@x.example>\n\nx"
    )
    assert found["envelope_from"] == ""
    assert found["delivered_to"] == ["help@shop.example", "support@shop.example"]
    assert found["to"] == ["b@x.example", "c@x.example", "d@x.example"]
    assert (found["cc"], found["reply_to"]) == (["e@x.example"], ["r@x.example"])


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("<m1@x.example>", "m1@x.example"),
        ("m1@x.example", "m1@x.example"),
        ("< m1@x.example >", "m1@x.example"),
        ("<m1@x.example> (added by x)", "m1@x.example"),
        ("<m1\r\n @x.example>", "m1@x.example"),
        ("<local-only>", "local-only"),
        ("<a@b@x.example>", "a@b@x.example"),
    ],
)
def test_a_message_id_however_it_is_written(written: str, read: str) -> None:
    assert field("Message-ID", written)["message_id"] == read


def test_references_with_and_without_spaces_and_brackets() -> None:
    found = told(
        "From: a@x.example\nReferences: <a@x><b@x>\n <c@x>,<a@x>\nIn-Reply-To: Your message of Monday <c@x>\n\nx"
    )
    assert found["references"] == ["a@x", "b@x", "c@x"]
    assert found["in_reply_to"] == ["c@x"]
    assert told("In-Reply-To: a@x\n\nx")["in_reply_to"] == ["a@x"]


def test_no_message_id_gets_one_from_the_content_whatever_way_the_mail_came() -> None:
    mail = "From: a@x.example\nSubject: s\n\nsame"
    first = told(mail)
    again = told("Received: from a by b; Mon, 4 May 2026 10:00:00 +0200\nDelivered-To: x@shop.example\n" + mail)
    assert first["message_id_generated"] is True
    assert first["message_id"] == again["message_id"] != told(mail + " not")["message_id"]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("Mon, 4 May 2026 10:00:00 +0200", "2026-05-04T08:00:00Z"),
        ("4 May 26 10:00 GMT", "2026-05-04T10:00:00Z"),
        ("Mon, 04 May 2026 10:00:00 GMT+02:00", "2026-05-04T08:00:00Z"),
        ("Mon, 4 May 2026 10:00:00 -0000", "2026-05-04T10:00:00Z"),
        ("Mon, 4 May 2026 10:00:00 +0200 (CEST)", "2026-05-04T08:00:00Z"),
        ("2026-05-04 10:00:00 +0200", "2026-05-04T08:00:00Z"),
        ("Mon, 4 May 2026 10:00:60 +0000", "2026-05-04T10:00:59Z"),
        ("Mon, 4 May 99999 10:00:00 +0000", None),
        ("Mon, 4 May 2026 10:00:00 +99999999999", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_a_date_however_it_is_written(written: str, read: str | None) -> None:
    assert field("Date", written)["date"] == read


@pytest.mark.parametrize(
    ("declared", "data", "text"),
    [
        ("iso-8859-1", "naïve – “quoted”".encode("cp1252"), "naïve – “quoted”"),
        ("iso-8859-1", "grüße".encode(), "grüße"),
        ("utf-8", b"caf\xe9", "café"),
        ("klingon", "grüße".encode(), "grüße"),
        ("us-ascii", "grüße".encode(), "grüße"),
        ("us-ascii", "grüße".encode("cp1252"), "grüße"),
        ("koi8-r", "привет".encode("koi8-r"), "привет"),
        ("gb2312", "镕基".encode("gb18030"), "镕基"),
        ("shift_jis", "①髙".encode("cp932"), "①髙"),
        ("ks_c_5601-1987", "똠방".encode("cp949"), "똠방"),
        ("iso-8859-8-i", "שלום".encode("cp1255"), "שלום"),
        ("utf8", "grüße".encode(), "grüße"),
        ('"utf-8', "grüße".encode(), "grüße"),
        ("utf-16le", "grüße".encode("utf-16le"), "grüße"),
        ("unicode_escape", b"\\u0041", "\\u0041"),
        ("base64", b"SGVsbG8=", "SGVsbG8="),
        ("x-unknown", "grüße".encode(), "grüße"),
        ("utf-8", "prix: 100 €, reçu, déjà, où".encode()[:-1] + b"\xc3", "prix: 100 €, reçu, déjà, o\ufffd\ufffd"),
    ],
)  # fmt: skip
def test_charsets_declared_wrongly_or_unknown(declared: str, data: bytes, text: str) -> None:
    raw = f"From: a@x.example\r\nContent-Type: text/plain; charset={declared}\r\n\r\n".encode() + data
    assert told(raw)["text"] == text


def test_cyrillic_without_any_charset_is_guessed_when_there_is_enough() -> None:
    text = "Здравствуйте, я хотел бы узнать, когда придёт мой заказ, который я сделал на прошлой неделе. " * 4
    assert told(b"From: a@x.example\r\n\r\n" + text.encode("cp1251"))["text"] == text.strip()


def test_html_that_names_its_own_charset() -> None:
    html = '<html><head><meta charset="windows-1251"></head><body>Привет</body></html>'.encode("cp1251")
    assert told(b"From: a@x.example\r\nContent-Type: text/html\r\n\r\n" + html)["text"] == "Привет"


@pytest.mark.parametrize(
    "noted",
    ["X-MS-Exchange-Organization-SCL: -1", "X-Spamd-Result: a", "X-Rspamd-Queue-Id: 1", "X-Gm-Message-State: q", "ARC-Seal: i=1", "X-Spam-Report: z", "DKIM-Filter: OpenDKIM", "X-Envelope-To: a@b.example", "Authentication-Results-Original: x", "X-Forefront-Antispam-Report: x", "X-Proofpoint-GUID: 1", "X-Sieve: CMU", "X-Virus-Status: Clean", "X-Google-Smtp-Source: a"],
)  # fmt: skip
def test_what_servers_note_on_the_way_does_not_change_a_generated_id(noted: str) -> None:
    bare = "From: a@b.example\nSubject: x\n\nhello"
    assert told(f"{noted}\n{bare}")["message_id"] == told(bare)["message_id"]
    assert told(f"X-Order: 7\n{bare}")["message_id"] != told(bare)["message_id"]


def test_a_field_that_is_too_long_hides_none_behind_it() -> None:
    """Ten thousand people in Cc stood before From: nobody had written the mail, and it said nothing."""
    cc = "Cc: " + ",\n ".join(f"person{n}@example.org" for n in range(20_000))
    found = told(f"{cc}\nFrom: Ann <ann@example.org>\nSubject: Order\nMessage-ID: <1@x>\n\nWhere is it?".encode())
    assert (found["outcome"], found["reason"]) == ("partial", "over the limit: headers")
    assert (found["from"], found["subject"], found["text"]) == (
        {"name": "Ann", "address": "ann@example.org"},
        "Order",
        "Where is it?",
    )


def test_an_id_in_encoded_words_is_the_id() -> None:
    """Python's own library writes ids so that are longer than a line: such answers began conversations of their own."""
    words = "=?utf-8?q?=3Csb=2Eh7gm265bcnia3fpwlk4oq3msk4=2E154f954ac8c268a5?=\n =?utf-8?q?2547=2E637ed6196d0476b1=40shop=2Eexample=3E?="
    found = told(f"From: ann@example.org\nSubject: x\nIn-Reply-To: {words}\nReferences: <1@x> {words}\n\nhi")
    expected = "sb.h7gm265bcnia3fpwlk4oq3msk4.154f954ac8c268a52547.637ed6196d0476b1@shop.example"
    assert (found["in_reply_to"], found["references"]) == ([expected], ["1@x", expected])
