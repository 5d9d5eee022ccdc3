"""What a mail refers to and whom it names, where ids, references and addresses are not as standards have them; read
back by the standard library and by our own parser."""

import email
import email.policy
from datetime import UTC, datetime
from email.message import EmailMessage

import pytest

from agents.models import address as typed_address
from channels.email.parser.parse import parse
from channels.email.sending.compose import compose, subject
from channels.email.sending.mime import mailbox
from channels.email.threading import Tokens
from schemas.addresses import compared, quoted_address
from schemas.interaction import Attachment, EmailContent
from schemas.reply import Reply, Thread
from store.deliveries import recipients
from tests.kit.events import examples

NOW = datetime(2026, 3, 4, 10, 1, tzinfo=UTC)


def reply(address: str = "ann@example.org", **more: object) -> Reply:
    made = examples()["reply"]
    assert isinstance(made, Reply)
    to = made.recipient.model_copy(update={"address": address})
    return made.model_copy(update={"automatic": False, "recipient": to, **more})


def written(made: Reply, *names: str, recipient: str = "") -> bytes:
    files = [(Attachment(name=name, media_type="text/plain", size=1), b"x") for name in names]
    raw = compose(made, address="help@shop.example", name="", now=NOW, files=files, recipient=recipient)
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    return raw


def read(raw: bytes) -> EmailMessage:
    found = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(found, EmailMessage)
    assert [part.defects for part in found.walk()] == [[]] * len(list(found.walk()))
    assert [value.defects for value in found.values()] == [()] * len(found)
    return found


@pytest.mark.parametrize(
    ("reference", "asked", "answered"),
    [
        ("SB-104", "Re: my order [SB-1042]", "Re: my order [SB-1042] [SB-104]"),
        ("SB-10", "SKU SB-1099 broken", "Re: SKU SB-1099 broken [SB-10]"),
        ("SB-104", "Re: XSB-104", "Re: XSB-104 [SB-104]"),
        ("SB-104", "Re: SB-104-7", "Re: SB-104-7 [SB-104]"),
        ("SB-104", "Re: my order [SB-104]", "Re: my order [SB-104]"),
        ("SB-104", "Re: about SB-104: where?", "Re: about SB-104: where?"),
    ],
)
def test_a_reference_that_is_part_of_another_number_is_not_taken_for_ours(
    reference: str, asked: str, answered: str
) -> None:
    assert subject(reply(reference=reference, thread=Thread(subject=asked))) == answered


@pytest.mark.parametrize("wild", ["20260304.8812.noat", "x" * 970 + "@y.org", "z" * 990, "a@b@c", '"a"@[1.2.3.4]'])
def test_an_id_without_an_at_or_a_long_one_is_referred_to(wild: str) -> None:
    raw = written(reply(thread=Thread(in_reply_to=wild, references=("r@x.org", wild), subject="x")))
    found = email.message_from_bytes(raw, policy=email.policy.compat32)
    assert found["In-Reply-To"].split() == [f"<{wild}>"]
    assert found["References"].split() == ["<r@x.org>", f"<{wild}>"]
    content = parse(raw, account="help", received_at=NOW).content
    assert isinstance(content, EmailContent)
    assert (content.in_reply_to, content.references) == ((wild,), ("r@x.org", wild))
    alone = written(reply(thread=Thread(in_reply_to=wild, references=(wild,), subject="x")))
    assert email.message_from_bytes(alone)["References"].split() == [f"<{wild}>"]


@pytest.mark.parametrize("evil", ["a@x>\r\nBcc: q@x", "a b@x.org", "<a@b", "a\x00@b", "", "a\u2028@b", "x" * 991])
def test_an_id_that_would_break_its_field_is_left_out(evil: str) -> None:
    thread = Thread.model_construct(in_reply_to=evil, references=("r@x.org", evil), subject="x")
    found = read(written(reply(thread=thread)))
    assert (found["In-Reply-To"], found["References"], found["Bcc"]) == (None, "<r@x.org>", None)


def test_an_id_that_is_not_ascii_stands_only_in_a_mail_with_utf8_fields() -> None:
    thread = Thread(in_reply_to="ü@x.org", references=("r@x.org", "ü@x.org"), subject="x")
    found = read(written(reply(thread=thread)))
    assert (found["In-Reply-To"], found["References"]) == (None, "<r@x.org>")
    raw = written(reply("jürgen@example.org", thread=thread))
    assert "In-Reply-To: <ü@x.org>\r\nReferences: <r@x.org>\r\n <ü@x.org>\r\n".encode() in raw


@pytest.mark.parametrize("local", ["a..b", ".a", "a.", "..."])
def test_an_address_with_dots_that_standards_do_not_have_is_quoted(local: str) -> None:
    address = f"{local}@docomo.ne.jp"
    assert mailbox(address, "Ann") == f'Ann <"{local}"@docomo.ne.jp>'
    raw = written(reply(address, cc=("bob@example.net", f"{local}@ezweb.ne.jp")))
    found = read(raw)
    assert [each.addr_spec for each in found["To"].addresses] == [address]
    assert [each.addr_spec for each in found["Cc"].addresses] == ["bob@example.net", f"{local}@ezweb.ne.jp"]
    content = parse(raw, account="help", received_at=NOW).content
    assert isinstance(content, EmailContent)
    assert (content.to, content.cc) == ((address,), ("bob@example.net", f"{local}@ezweb.ne.jp"))
    came = parse(f"From: {address}\r\n\r\nx".encode(), account="help", received_at=NOW).sender.address
    assert came == address, "what customers write is what is answered"
    assert typed_address(address) == address, "an agent may add it in copy"


@pytest.mark.parametrize(
    ("address", "quoted"),
    [
        ("ann@example.org", "ann@example.org"),
        ("jürgen@example.org", "jürgen@example.org"),
        ("jü..rgen@example.org", '"jü..rgen"@example.org'),
        ('a"b\\c@example.org', '"a\\"b\\\\c"@example.org'),
        ('"a b"@example.org', '"a b"@example.org'),
        ("nothing", "nothing"),
        ("@x.org", "@x.org"),
        ("", ""),
    ],
)
def test_only_what_has_to_be_is_quoted(address: str, quoted: str) -> None:
    assert quoted_address(address) == quoted


@pytest.mark.parametrize("address", ["nonsense", "@x.org", "a@", "a@b c", "a\x00b@x.org", "a@x>y", "a\r\n@x.org"])
def test_what_is_no_address_is_said_in_plain_words(address: str) -> None:
    with pytest.raises(ValueError, match="is no address that a mail could go to"):
        mailbox(address)


def test_a_customer_in_copy_of_himself_under_the_other_form_of_his_domain_gets_one_mail() -> None:
    made = reply("ann@bücher.example", cc=("ann@xn--bcher-kva.example", "Bob@example.net", "bob@example.net"))
    assert recipients(made) == ["ann@bücher.example", "Bob@example.net"]
    found = read(written(made))
    assert [each.addr_spec for each in found["To"].addresses] == ["ann@xn--bcher-kva.example"]
    assert [each.addr_spec.lower() for each in found["Cc"].addresses] == ["bob@example.net"]


@pytest.mark.parametrize("form", ["ann@bücher.example", "Ann@Bücher.Example", "ann@xn--bcher-kva.example"])
def test_a_customer_is_the_same_whichever_form_of_the_domain_the_mail_has(form: str) -> None:
    one = "ann@xn--bcher-kva.example"
    assert parse(f"From: {form}\r\n\r\nx".encode(), account="help", received_at=NOW).sender.address == one
    assert (compared(form), typed_address(form)) == (one, one)
    tokens, conversation = Tokens(b"secret" * 6), "00000000-0000-4000-8000-000000000001"
    assert tokens.detail(conversation, form) == tokens.detail(conversation, one)


NAMES = [
    "=?utf-8?q?x?=.txt",
    "=?.txt",
    "日本" * 100 + ".txt",
    "ü.pdf",
    "100%.txt",
    'a "b\\c".bin',
    "it's * 'so'.txt",
    "%41.txt",
    "🎉" * 60,
]


@pytest.mark.parametrize("name", NAMES)
def test_a_file_comes_back_under_its_name(name: str) -> None:
    raw = written(reply(), name)
    (part,) = read(raw).iter_attachments()
    assert part.get_filename() == name
    (found,) = parse(raw, account="help", received_at=NOW).attachments
    assert found.name == name
