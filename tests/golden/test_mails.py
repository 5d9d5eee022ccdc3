"""Composed mails against their golden files, byte for byte; and read back by the standard library and by our parser.

`python -m tests.golden.test_mails` writes the files that are not there; it never changes one that exists.
"""

import email
import email.policy
from collections.abc import Callable
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path

import pytest

from channels.email.parser.parse import parse
from channels.email.sending.compose import Extras, File, compose
from channels.email.threading import Tokens
from schemas.interaction import Attachment, EmailContent
from schemas.reply import Reply, Thread
from tests.kit.events import examples

FOLDER = Path(__file__).parent / "mails"
NOW = datetime(2026, 3, 4, 10, 1, tzinfo=UTC)
TOKENS = Tokens(b"golden" * 6)
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010804000000b51c0c020000000b4944415478da63fcff1f0002eb01f5"
    "8f50b2c30000000049454e44ae426082"
)
PDF = b"%PDF-1.7\n" + bytes(range(256)) * 3


def reply(**more: object) -> Reply:
    made = examples()["reply"]
    assert isinstance(made, Reply)
    basis: dict[str, object] = {"conversation_id": "00000000-0000-4000-8000-000000000001", "automatic": False}
    return made.model_copy(update=basis | more)


def file(name: str, media_type: str, data: bytes, content_id: str | None = None) -> File:
    return Attachment(name=name, media_type=media_type, size=len(data), content_id=content_id), data


def made(reply_: Reply, *files: File, name: str = "Example Shop", **extras: object) -> Callable[[], bytes]:
    more = Extras(tokens=TOKENS, **extras)  # type: ignore[arg-type]
    return lambda: compose(reply_, address="help@shop.example", name=name, now=NOW, extras=more, files=files)


FILE_NAME = "Übersicht der Bestellungen, „vollständig“ und mit allen Anlagen (2026).csv"
UMLAUTS = "Grüße aus Köln, €5 zurück.\n\n日本語 und 🎉"
LONG = ("Ein langes Wort: " + "x" * 1200 + "\n") + "Wörter " * 60 + "\n.\n..dots\nFrom here \nTab\t\n"
CASES: dict[str, Callable[[], bytes]] = {
    "plain": made(reply(text="It left today.\nSee you!"), html=False),
    "machine": made(reply(automatic=True), signature="Your Shop\nKöln"),
    "umlauts": made(
        reply(
            text=UMLAUTS, subject="", thread=Thread(subject="Rückgabe meiner Bestellung über fünf Gläser Sauerkraut")
        ),
        name="Läden & Söhne, “Köln”",
        language="de",
        reply_token=True,
    ),
    "long_lines": made(reply(text=LONG, subject="", thread=Thread(subject="word " * 60))),
    "quoted": made(
        reply(
            text="Yes.", thread=Thread(in_reply_to="b@x.org", references=("a@x.org", "b@x.org"), subject="Re: Is it?")
        ),
        quoted="Is it <here>?\n\nAnn & Bob",
        signature="Mara",
        name='The "Shop"',
    ),
    "attachment": made(
        reply(text="Enclosed.", cc=("bob@example.net", "carl@bücher.example")),
        file("invoice.pdf", "application/pdf", PDF),
        file(FILE_NAME, "text/csv", "ä;1\n".encode()),
        file('a "b\\c".bin', "no type", b""),
    ),
    "copy_not_ascii": made(reply(text="Yes.", cc=("jürgen@bücher.example", "bob@example.net"))),
    "inline_image": made(
        reply(text="Press here:"),
        file("button.png", "image/png", PIXEL, "button@shop.example"),
        file("manual.txt", "text/plain", b"line\n"),
    ),
}


@pytest.mark.parametrize("name", sorted(CASES))
def test_what_we_write_is_the_golden_mail(name: str) -> None:
    assert CASES[name]() == (FOLDER / f"{name}.eml").read_bytes()


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.eml")), ids=lambda path: path.stem)
def test_every_mail_is_7_bit_in_short_lines_and_without_defects(path: Path) -> None:
    raw = path.read_bytes()
    assert raw.isascii()
    assert b"\n" not in raw.replace(b"\r\n", b"")
    assert max(map(len, raw.split(b"\r\n"))) <= 110, "only ids and addresses may be longer than 78"
    found = email.message_from_bytes(raw, policy=email.policy.default)
    assert [part.defects for part in found.walk()] == [[]] * len(list(found.walk()))
    assert [value.defects for value in found.values()] == [()] * len(found)


def back(name: str) -> EmailMessage:
    found = email.message_from_bytes((FOLDER / f"{name}.eml").read_bytes(), policy=email.policy.default)
    assert isinstance(found, EmailMessage)
    return found


def body(name: str, kind: str) -> str:
    part = back(name).get_body((kind,))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")


def test_the_words_come_back() -> None:
    assert body("plain", "plain") == "It left today.\nSee you!\n"
    assert body("umlauts", "plain") == UMLAUTS + "\n"
    assert "日本語 und 🎉" in body("umlauts", "html")
    assert body("long_lines", "plain") == LONG.rstrip() + "\n"
    assert body("quoted", "plain") == "Yes.\n-- \nMara\n\n> Is it <here>?\n> \n> Ann & Bob\n"
    assert "Is it &lt;here&gt;?" in body("quoted", "html")
    assert back("umlauts")["Subject"] == "Re: Rückgabe meiner Bestellung über fünf Gläser Sauerkraut [SB-1042]"
    assert back("umlauts")["From"].addresses[0].display_name == "Läden & Söhne, “Köln”"
    assert back("quoted")["From"].addresses[0].display_name == 'The "Shop"'
    assert back("quoted")["References"] == "<a@x.org> <b@x.org>"
    assert back("plain").get_content_type() == "text/plain"


def test_the_files_come_back_with_their_names() -> None:
    found = list(back("attachment").iter_attachments())
    assert [part.get_filename() for part in found] == [
        "invoice.pdf",
        FILE_NAME,
        'a "b\\c".bin',
    ]
    assert [part.get_content_type() for part in found] == ["application/pdf", "text/csv", "application/octet-stream"]
    assert [part.get_payload(decode=True) for part in found] == [PDF, "ä;1\n".encode(), b""]
    assert [each.addr_spec for each in back("attachment")["Cc"].addresses] == [
        "bob@example.net",
        "carl@xn--bcher-kva.example",
    ]


def test_an_inline_image_stands_beside_the_html_that_shows_it() -> None:
    mail = back("inline_image")
    assert mail.get_content_type() == "multipart/mixed"
    (related,) = [part for part in mail.walk() if part.get_content_type() == "multipart/related"]
    page, image = related.iter_parts()
    assert 'src="cid:button@shop.example" alt="button.png"' in page.get_content()
    assert image["Content-ID"] == "<button@shop.example>"
    assert image.get_content() == PIXEL
    assert [part.get_filename() for part in mail.iter_attachments()] == ["manual.txt"]


@pytest.mark.parametrize("name", sorted(CASES))
def test_our_own_parser_reads_what_we_write(name: str) -> None:
    found = parse((FOLDER / f"{name}.eml").read_bytes(), account="help", received_at=NOW)
    content = found.content
    assert isinstance(content, EmailContent)
    assert found.sender.address == "help@shop.example"
    assert content.to == ("ann@example.org",)
    assert content.message_id.startswith("sb.aaaaaaaaabaabaaaaaaaaaaaae.")
    assert found.subject == back(name)["Subject"]
    files = [(each.name, each.size) for each in found.attachments]
    wanted = {
        "attachment": [("invoice.pdf", len(PDF)), (FILE_NAME, 5), ('a "b\\c".bin', 0)],
        "inline_image": [("button.png", len(PIXEL)), ("manual.txt", 5)],
    }
    assert sorted(files) == sorted(wanted.get(name, []))


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, case in CASES.items():
        path = FOLDER / f"{name}.eml"
        if not path.exists():
            path.write_bytes(case())


def test_a_copy_whose_address_is_not_ascii_is_named_but_cannot_be_written_to() -> None:
    copies = back("copy_not_ascii")["Cc"]
    assert [each.addr_spec for each in copies.addresses] == ["bob@example.net"]
    assert copies.groups[0].display_name == "jürgen@xn--bcher-kva.example"


@pytest.mark.parametrize("account", ["jürgen@straße.example", "help@shop.example"])
def test_addresses_that_are_not_ascii_come_back(account: str) -> None:
    """RFC 6532, for the recipient who needs it."""
    ours = account.replace("straße", "xn--strae-oqa")
    made = reply(text="Yes.", cc=("jürgen@bücher.example", "bob@example.net"))
    more = Extras(tokens=TOKENS, reply_token=True)
    raw = compose(made, address=account, name="Ü", now=NOW, extras=more, recipient="jürgen@bücher.example")
    found = email.message_from_string(raw.decode(), policy=email.policy.SMTPUTF8)
    assert [each.addr_spec for each in found["From"].addresses] == [ours]
    assert [each.addr_spec for each in found["Cc"].addresses] == ["jürgen@xn--bcher-kva.example", "bob@example.net"]
    assert found["Message-ID"].isascii()
    assert max(map(len, raw.split(b"\r\n"))) <= 110
    read = parse(raw, account="support", received_at=NOW)
    assert isinstance(read.content, EmailContent)
    assert read.sender.address == ours
