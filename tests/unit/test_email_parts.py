# ruff: noqa: E501 - mails as they come
"""What a mail carries, each test named after the trouble that it is about."""

import base64
import binascii
import hashlib
import struct

import pytest

from schemas import limits
from tests.kit.told import BASE, mail, multipart, told

PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)


def encoded(data: bytes) -> str:
    return base64.encodebytes(data).decode()


def test_text_picture_text_is_one_text() -> None:
    found = told(
        multipart(
            "mixed",
            "Content-Type: text/plain\n\nbefore",
            f"Content-Type: image/png\nContent-Disposition: inline; filename=a.png\nContent-Transfer-Encoding: base64\n\n{encoded(PNG)}",
            "Content-Type: text/plain\n\nafter",
        )
    )
    assert found["text"] == "before\n\nafter"
    (file,) = found["attachments"]
    assert (file["name"], file["type"], file["inline"]) == ("a.png", "image/png", True)


def test_a_placeholder_beside_real_html() -> None:
    words = "Your invoice of May is attached, please pay within ten days. " * 5
    found = told(
        multipart(
            "alternative",
            "Content-Type: text/plain\n\nYour email client does not support HTML.",
            f"Content-Type: text/html\n\n<p>{words}</p>",
        )
    )
    assert found["text"].startswith("Your invoice of May")


def test_an_empty_plain_part_beside_html() -> None:
    found = told(
        multipart("alternative", "Content-Type: text/plain\n\n\n ", "Content-Type: text/html\n\n<b>Hi</b> all")
    )
    assert found["text"] == "Hi all"


def test_the_plain_part_is_the_text_and_the_html_is_kept_safe() -> None:
    found = told(
        multipart(
            "alternative",
            "Content-Type: text/plain\n\nHello",
            'Content-Type: text/html\n\n<p onclick="x()">Hello<script>evil()</script><img src="http://t.example/p.gif"></p>',
        )
    )
    assert found["text"] == "Hello"
    assert "Hello" in found["html_safe"]
    for bad in ("script", "evil", "onclick", "http://t.example"):
        assert bad not in found["html_safe"]


def test_an_attached_mail_is_one_eml_with_its_own_bytes() -> None:
    inner = b"Subject: =?utf-8?q?Caf=C3=A9?=\r\nFrom: bob@example.net\r\nContent-Type: multipart/mixed; boundary=q\r\n\r\n--q\r\n\r\ntext\r\n--q--\r\n"
    found = told(
        multipart("mixed", "Content-Type: text/plain\n\nsee below", b"Content-Type: message/rfc822\r\n\r\n" + inner)
    )
    assert found["text"] == "see below"
    (file,) = found["attachments"]
    assert (file["name"], file["type"], file["saved_as"]) == ("Café.eml", "message/rfc822", "Café.eml")
    assert file["sha256"] == hashlib.sha256(inner).hexdigest()


def test_a_truncated_multipart_keeps_what_is_there() -> None:
    raw = multipart(
        "mixed",
        "Content-Type: text/plain\n\nhello",
        f"Content-Type: application/pdf; name=a.pdf\nContent-Transfer-Encoding: base64\n\n{encoded(b'%PDF-1.7' + bytes(999))}",
    )
    found = told(raw[:-300])
    assert found["text"] == "hello"
    assert found["attachments"][0]["name"] == "a.pdf"
    assert "unterminated_multipart" in found["defects"]
    assert found["outcome"] == "parsed"


def test_a_truncated_inner_multipart_ends_where_the_outer_goes_on() -> None:
    inner = 'Content-Type: multipart/alternative; boundary="in"\n\n--in\nContent-Type: text/plain\n\nwords\n--in\nContent-Type: text/html\n\n<p>words</p>'
    found = told(multipart("mixed", inner, "Content-Type: text/csv; name=t.csv\n\na,b"))
    assert found["text"] == "words"
    assert [each["name"] for each in found["attachments"]] == ["t.csv"]


@pytest.mark.parametrize(
    "declared", ["multipart/mixed", "multipart/mixed; boundary=", 'multipart/mixed; boundary="other"']
)
def test_a_missing_or_wrong_boundary_is_found_in_the_body(declared: str) -> None:
    body = "--=x\nContent-Type: text/plain\n\nhello\n--=x\nContent-Type: text/html; name=a.html\n\n<p>x</p>\n--=x--\n"
    found = told(mail(body, f"Content-Type: {declared}"))
    assert found["text"] == "hello"
    assert "missing_boundary" in found["defects"]


def test_a_multipart_without_any_boundary_is_text() -> None:
    found = told(mail("just words", "Content-Type: multipart/mixed"))
    assert found["text"] == "just words"


def test_base64_declared_on_a_multipart_that_is_not_encoded() -> None:
    raw = multipart("mixed", "Content-Type: text/plain\n\nhello", head="Content-Transfer-Encoding: base64\r\n")
    assert told(raw)["text"] == "hello"


def test_base64_over_a_whole_multipart() -> None:
    body = encoded(b"--=b\r\nContent-Type: text/plain\r\n\r\nhello\r\n--=b--\r\n")
    found = told(mail(body, 'Content-Type: multipart/mixed; boundary="=b"\nContent-Transfer-Encoding: base64'))
    assert found["text"] == "hello"
    assert "encoded_multipart" in found["defects"]


@pytest.mark.parametrize("encoding", ["x-nonsense", "8-bits-please", "utf-8"])
def test_an_unknown_transfer_encoding_leaves_the_bytes(encoding: str) -> None:
    found = told(mail("plain words", f"Content-Transfer-Encoding: {encoding}"))
    assert found["text"] == "plain words"
    assert "unknown_transfer_encoding" in found["defects"]


@pytest.mark.parametrize(
    "encoding", ["Quoted-Printable ", "quoted printable", '"quoted-printable"', "QUOTED-PRINTABLE; x=y"]
)
def test_a_transfer_encoding_written_oddly(encoding: str) -> None:
    assert (
        told(
            mail(
                "caf=C3=A9 =\nau lait",
                f"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: {encoding}",
            )
        )["text"]
        == "café au lait"
    )


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("SGVsbG8gd29ybGQ", "Hello world"),
        ("SGVsbG8gd29ybGQ=\n", "Hello world"),
        ("SGVs\n!!bG8gd2\n9ybGQ=", "Hello world"),
        ("SGVsbG8gd29ybGQhI", "Hello world!"),
        ("This was never base64 at all, it is words.", "This was never base64 at all, it is words."),
        ("SGVsbG8g\nd29ybGQ=\nSGVsbG8g\nd29ybGQ=\n", "Hello worldHello world"),
    ],
)
def test_damaged_base64(body: str, text: str) -> None:
    assert told(mail(body, "Content-Transfer-Encoding: base64"))["text"] == text


def test_quoted_printable_with_spaces_after_soft_breaks() -> None:
    assert told(mail("one =  \ntwo=ZZ", "Content-Transfer-Encoding: quoted-printable"))["text"] == "one two=ZZ"


def uuencoded(data: bytes) -> str:
    lines = [binascii.b2a_uu(data[i : i + 45]).decode() for i in range(0, len(data), 45)]
    return "begin 644 notes.txt\n" + "".join(lines) + "`\nend\n"


def test_uuencode_in_the_text_becomes_a_file() -> None:
    found = told(mail(f"see the file\n\n{uuencoded(b'some notes ' * 20)}\nthanks"))
    assert "begin 644" not in found["text"]
    assert found["text"].startswith("see the file")
    assert found["text"].endswith("thanks")
    (file,) = found["attachments"]
    assert (file["name"], file["size"]) == ("notes.txt", 220)


def test_uuencode_as_a_transfer_encoding() -> None:
    found = told(mail(uuencoded(b"hello there"), "Content-Transfer-Encoding: x-uuencode"))
    assert found["text"] == "hello there"


def test_begin_as_a_word_is_a_word() -> None:
    assert told(mail("begin 100 things\nand end them"))["text"] == "begin 100 things\nand end them"


def test_format_flowed_and_delsp() -> None:
    head = "Content-Type: text/plain; format=flowed"
    assert told(mail("one \ntwo \nthree\n\nnext\n-- \nAnn", head))["text"] == "one two three\n\nnext\n-- \nAnn"
    assert told(mail(" > not a quote\n", head))["text"] == "> not a quote"
    assert told(mail("auf \nlauf", head + "; delsp=yes"))["text"] == "auflauf"


def calendar(start: str) -> str:
    return f"BEGIN:VCALENDAR\nVERSION:2.0\nMETHOD:REQUEST\nBEGIN:VEVENT\nUID:1\nSUMMARY:Planning\\, weekly\nDTSTART{start}\nEND:VEVENT\nEND:VCALENDAR\n"


@pytest.mark.parametrize(
    ("start", "written"),
    [
        (":20260504T080000Z", "2026-05-04T08:00:00Z"),
        (";TZID=Europe/Berlin:20260504T100000", "2026-05-04T08:00:00Z"),
        (";VALUE=DATE:20260504", "2026-05-04"),
    ],
)
def test_a_calendar_part(start: str, written: str) -> None:
    found = told(
        multipart(
            "alternative",
            "Content-Type: text/plain\n\nInvitation",
            f"Content-Type: text/calendar; method=REQUEST; charset=utf-8\n\n{calendar(start)}",
        )
    )
    assert found["calendar"] == {"method": "REQUEST", "summary": "Planning, weekly", "start": written}
    assert found["text"] == "Invitation"


def test_a_broken_calendar_is_read_by_its_lines() -> None:
    found = told(
        multipart(
            "mixed",
            "Content-Type: text/plain\n\nx",
            "Content-Type: text/calendar; method=CANCEL\n\nBEGIN:VCALENDAR\nBEGIN:VEVENT\nSUMMARY:Cut\nDTSTART:20260504T080000Z",
        )
    )
    assert found["calendar"] == {"method": "CANCEL", "summary": "Cut", "start": "2026-05-04T08:00:00Z"}


def test_a_picture_by_cid_is_inline_and_stays_in_the_html() -> None:
    found = told(
        multipart(
            "related",
            'Content-Type: text/html\n\n<p>Look: <img src="cid:pic@x"></p>',
            f"Content-Type: image/png\nContent-ID: <pic@x>\nContent-Transfer-Encoding: base64\n\n{encoded(PNG)}",
        )
    )
    (file,) = found["attachments"]
    assert (file["content_id"], file["inline"], file["name"]) == ("pic@x", True, "")
    assert 'src="cid:pic@x"' in found["html_safe"]
    assert file["saved_as"] == "attachment-1.png"


@pytest.mark.parametrize(
    ("kind", "label"),
    [
        ('multipart/signed; protocol="application/pgp-signature"; boundary="=b"', "signed"),
        ('multipart/encrypted; protocol="application/pgp-encrypted"; boundary="=b"', "encrypted"),
        ("application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m", "encrypted"),
        ("application/x-pkcs7-mime; smime-type=signed-data; name=smime.p7m", "signed"),
    ],
)
def test_smime_and_pgp_are_labelled(kind: str, label: str) -> None:
    body = "--=b\nContent-Type: text/plain\n\nsecret?\n--=b\nContent-Type: application/pgp-signature; name=s.asc\n\nxx\n--=b--\n"
    found = told(mail(body, f"Content-Type: {kind}"), assume_verified=True)
    assert found["crypto"] == label
    # What is signed in this form hides its words as well.
    assert ("encrypted" in found["may_auto_answer"]["because"]) == (label == "encrypted" or "pkcs7" in kind)


def test_pgp_in_the_text_is_labelled() -> None:
    assert told(mail("-----BEGIN PGP MESSAGE-----\n\nabc\n-----END PGP MESSAGE-----"))["crypto"] == "encrypted"
    assert (
        told(
            mail(
                "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nhi\n-----BEGIN PGP SIGNATURE-----\n\nx\n-----END PGP SIGNATURE-----"
            )
        )["crypto"]
        == "signed"
    )


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("words " * 1200 + "\n-----BEGIN PGP MESSAGE-----\n\nabc\n-----END PGP MESSAGE-----", "encrypted"),
        (
            "Can you read this?\n\nOn 4 May 2026 at 10:15, a@b.example wrote:\n> -----BEGIN PGP MESSAGE-----\n> abc",
            None,
        ),
        ("What does '-----BEGIN PGP SIGNED MESSAGE-----' mean?", None),
    ],
    ids=["far down", "quoted", "mentioned"],
)
def test_pgp_counts_wherever_it_is_the_writers_own(text: str, label: str | None) -> None:
    assert told(mail(text))["crypto"] == label


def test_pgp_that_exchange_made_multipart_mixed_of_is_encrypted() -> None:
    raw = multipart(
        "mixed",
        "Content-Type: text/plain\n\n",
        'Content-Type: application/pgp-encrypted; name="PGPMIME version identification.dat"\n\nVersion: 1',
        "Content-Type: application/octet-stream; name=encrypted.asc\n\n-----BEGIN PGP MESSAGE-----",
    )
    assert told(raw)["crypto"] == "encrypted"


def tnef(*attributes: tuple[int, int, bytes]) -> bytes:
    out = struct.pack("<IH", 0x223E9F78, 1)
    for level, name, data in attributes:
        out += struct.pack("<BII", level, name, len(data)) + data + struct.pack("<H", sum(data) & 0xFFFF)
    return out


def test_winmail_dat_is_unpacked() -> None:
    data = tnef(
        (1, 0x00089006, struct.pack("<I", 0x00010000)),
        (2, 0x00069002, bytes(14)),
        (2, 0x00018010, b"report.txt\0"),
        (2, 0x0006800F, b"the report"),
    )
    found = told(
        multipart(
            "mixed",
            "Content-Type: text/plain\n\nsee attached",
            f"Content-Type: application/ms-tnef; name=winmail.dat\nContent-Transfer-Encoding: base64\n\n{encoded(data)}",
        )
    )
    assert [(each["name"], each["size"]) for each in found["attachments"]] == [("report.txt", 10)]


def test_a_damaged_winmail_dat_stays_a_file() -> None:
    found = told(
        multipart(
            "mixed", "Content-Type: text/plain\n\nx", "Content-Type: application/ms-tnef; name=winmail.dat\n\nnonsense"
        )
    )
    assert [each["name"] for each in found["attachments"]] == ["winmail.dat"]
    assert "bad_tnef" in found["defects"]


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ('attachment; filename="=?utf-8?B?w7xiZXIucGRm?="', "über.pdf"),
        ("attachment; filename*=utf-8''%C3%BCber.pdf", "über.pdf"),
        ("attachment; filename*0*=utf-8''%C3%BCb; filename*1=er; filename*2=.pdf", "über.pdf"),
        ("attachment; filename*=iso-8859-1''%FCber.pdf", "über.pdf"),
        ("attachment; filename*=''%C3%BCber.pdf", "über.pdf"),
        ("attachment; filename*=klingon'x'%C3%BCber.pdf", "über.pdf"),
        ("attachment; filename*0=ab; filename*2=.pdf", "ab.pdf"),
        ("attachment; filename=my file.pdf", "my file.pdf"),
        ('attachment; filename="a;b.pdf"', "a;b.pdf"),
        ('attachment; filename="unclosed.pdf', "unclosed.pdf"),
        ('attachment; filename="über.pdf"', "über.pdf"),
        ('attachment; FileName = "x.pdf" ', "x.pdf"),
    ],
)
def test_a_files_name_however_it_is_written(disposition: str, name: str) -> None:
    found = told(
        multipart(
            "mixed",
            "Content-Type: text/plain\n\nx",
            f"Content-Type: application/pdf\nContent-Disposition: {disposition}\n\n%PDF-1",
        )
    )
    assert [each["name"] for each in found["attachments"]] == [name]


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("../../etc/passwd", "passwd"),
        ("..\\..\\evil.exe", "evil.exe"),
        ("con.txt", "_con.txt"),
        ("a\u202egpj.exe", "a_gpj.exe"),
        ("...", "attachment-1.bin"),
        ("x" * 300 + ".pdf", "x" * 120 + ".pdf"),
    ],
)
def test_a_files_name_is_safe_to_save_under(name: str, safe: str) -> None:
    raw = multipart(
        "mixed",
        "Content-Type: text/plain\n\nx",
        f'Content-Type: application/octet-stream\nContent-Disposition: attachment; filename="{name.replace(chr(92), chr(92) * 2)}"\n\n??',
    )
    assert told(raw)["attachments"][0]["saved_as"] == safe


def test_two_files_of_one_name_are_saved_apart() -> None:
    part = 'Content-Type: text/plain\nContent-Disposition: attachment; filename="a.txt"\n\nx'
    assert [each["saved_as"] for each in told(multipart("mixed", part, part))["attachments"]] == ["a.txt", "a (2).txt"]


def test_the_declared_type_of_a_file_is_not_believed() -> None:
    found = told(
        multipart(
            "mixed", "Content-Type: text/plain\n\nx", b"Content-Type: image/png; name=p.png\r\n\r\nMZ" + bytes(200)
        )
    )
    (file,) = found["attachments"]
    assert file["declared_type"] == "image/png"
    assert file["type"] == "application/vnd.microsoft.portable-executable"


def test_html_alone_that_says_it_is_plain() -> None:
    assert told(mail("<!DOCTYPE html><html><body><p>Hello <b>you</b></p></body></html>"))["text"] == "Hello you"


def test_a_text_part_with_a_name_is_the_text_when_there_is_no_other() -> None:
    found = told(mail("hello from my phone", 'Content-Type: text/plain; name="text_0.txt"'))
    assert found["text"] == "hello from my phone"
    assert found["attachments"] == []


def test_nesting_over_the_limit_is_partial() -> None:
    raw = BASE
    for n in range(1500):
        raw += b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n)
    found = told(raw + b"\r\ndeep words")
    assert found["outcome"] == "partial"
    assert found["reason"]


def test_parts_over_the_limit_are_partial_and_the_first_are_kept() -> None:
    found = told(multipart("mixed", *["Content-Type: text/plain\n\nword"] * (limits.MAIL_PARTS + 50)))
    assert found["outcome"] == "partial"
    assert found["text"].startswith("word")


@pytest.mark.parametrize(
    "raw",
    [
        b"Subject: one\nThis is no field\nFrom: ann@example.org\nTo: help@shop.example\n\nhello",
        b"\n\nSubject: one\nFrom: ann@example.org\n\nhello",
        b"Subject: one\r\rFrom: ann@example.org\r\rhello".replace(b"\r\r", b"\r", 1),
        b">From ann@example.org Mon May  4\nSubject: one\nFrom: ann@example.org\n\nhello",
        b"\xef\xbb\xbfSubject: one\nFrom: ann@example.org\n\nhello",
        b"Subject: one\r\r\nFrom: ann@example.org\r\r\n\r\r\nhello",
    ],
    ids=["a line that is no field", "blank lines first", "bare CR", "an escaped From line", "a BOM", "doubled CR"],
)
def test_a_header_with_damage(raw: bytes) -> None:
    found = told(raw)
    assert (found["subject"], found["from"]["address"], found["text"]) == ("one", "ann@example.org", "hello")


def test_a_forgotten_blank_line() -> None:
    found = told(b"From: ann@example.org\nSubject: one\nHello, where is my order?\nBye\n")
    assert found["subject"] == "one"
    assert found["text"] == "Hello, where is my order?\nBye"


def test_an_empty_file_is_unparsed() -> None:
    found = told(b"")
    assert (found["outcome"], found["reason"], found["may_auto_answer"]["because"]) == (
        "unparsed",
        "empty",
        ["unparsed"],
    )


def test_lone_surrogates_never_leave() -> None:
    found = told(
        mail("=ED=A0=80 x", "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable")
    )
    str(found).encode("utf-8")


def test_a_boundary_at_the_very_beginning_that_is_none_was_looked_for_for_ever() -> None:
    found = told(mail("--=bx\nwords", 'Content-Type: multipart/mixed; boundary="=b"'))
    assert found["text"] == "--=bx\nwords"


def test_bytes_that_are_no_mail_at_all_are_unparsed() -> None:
    assert told(b"\x7fELF" + bytes(500))["outcome"] == "unparsed"
    assert told(b"no header at all")["text"] == "no header at all"


@pytest.mark.parametrize("kind", ["text/plain", "text/html"])
def test_a_long_line_behind_a_short_one_is_read_as_far_as_it_fits(kind: str) -> None:
    """The whole part went, back to its first line's end."""
    text = "<p>hello\n" + "wörd" * 400_000
    found = told(mail(text, f"Content-Type: {kind}; charset=utf-8"))
    assert found["outcome"] == "partial"
    assert len(found["text"]) > 60_000
    assert "hello" in found["text"]
    assert "wördwörd" in found["text"]
