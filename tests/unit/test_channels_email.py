"""Mail in and out without a network: parser, automatic mail, sender verdict, composition, retry."""

import email
import email.policy
import time
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from channels.email.parser.automatic import LOOP_FIELD
from channels.email.parser.parse import parse, unparsed
from channels.email.parser.verdict import verdict
from channels.email.parser.worker import work
from channels.email.sending.compose import compose, message_id, subject
from channels.email.settings import EmailSettings
from channels.retry import AT_LEAST, CAP, FIRST, GIVE_UP, next_attempt
from router.core.triage import decide_safely
from schemas import limits
from schemas.fast import as_struct
from schemas.interaction import Contact, EmailContent, Sender
from schemas.reply import Reply, Thread
from schemas.structs import Facts
from tests.kit.contacts import NOW
from tests.kit.events import examples
from tests.kit.policies import accepted, example_policy

BASE = b"From: Ann <ann@example.org>\r\nTo: help@shop.example\r\nMessage-ID: <m1@example.org>\r\n"


def read(raw: bytes, **more: object) -> Contact:
    return parse(raw, account="help", received_at=NOW, **more)  # type: ignore[arg-type]


class TestParse:
    def test_a_plain_mail(self) -> None:
        contact = read(
            BASE + b"Subject: =?utf-8?q?Caf=C3=A9?=\r\nReferences: <a@x> <b@x>\r\n\r\nHello there, friends\r\n"
        )
        assert isinstance(contact.content, EmailContent)
        assert (contact.subject, contact.text) == ("Café", "Hello there, friends")
        assert (contact.sender.address, contact.sender.name) == ("ann@example.org", "Ann")
        assert contact.content.references == ("a@x", "b@x")
        assert contact.native_id == "m1@example.org"
        assert contact.language == "en"
        assert contact.flags == ()

    def test_received_is_ours_and_never_the_date_field(self) -> None:
        assert read(BASE + b"Date: Mon, 1 Jan 1990 00:00:00 +0000\r\n\r\nx").received_at == NOW

    @pytest.mark.parametrize(
        ("declared", "data", "text"),
        [
            (b"iso-8859-1", "naïve – “quoted”".encode("cp1252"), "naïve – “quoted”"),
            (b"utf-8", b"caf\xe9", "café"),
            (b"klingon", "grüße".encode(), "grüße"),
            (b"us-ascii", "grüße".encode(), "grüße"),
            (b"koi8-r", "привет".encode("koi8-r"), "привет"),
        ],
    )
    def test_charsets_undeclared_wrong_and_unknown(self, declared: bytes, data: bytes, text: str) -> None:
        raw = (
            BASE
            + b"Content-Type: text/plain; charset="
            + declared
            + b"\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
            + data
        )
        assert read(raw).text == text

    def test_an_undeclared_8_bit_subject_is_read(self) -> None:
        assert read(BASE + "Subject: Grüße\r\n\r\nx".encode()).subject == "Grüße"
        assert read(BASE + "Subject: Grüße\r\n\r\nx".encode("latin-1")).subject == "Grüße"

    def test_html_alone_becomes_text(self) -> None:
        raw = BASE + b"Content-Type: text/html\r\n\r\n<style>x{}</style><p>Hello <b>you</b></p><script>evil()</script>"
        assert read(raw).text == "Hello you"

    def test_html_that_is_too_much_for_the_converter_costs_little_time(self) -> None:
        raw = BASE + b"Content-Type: text/html\r\n\r\n" + b"<" * 500_000 + b"<b>words</b>" * 10_000
        before = time.process_time()
        assert read(raw).flags == ("partial",)
        assert time.process_time() - before < 2.0

    def test_the_plain_part_wins_and_files_are_listed(self) -> None:
        mail = EmailMessage()
        mail["From"] = "a@example.org"
        mail.set_content("plain words")
        mail.add_alternative("<p>html words</p>", subtype="html")
        mail.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="ünvoice.pdf")
        contact = read(mail.as_bytes())
        assert contact.text == "plain words"
        (file,) = contact.attachments
        assert (file.name, file.media_type, file.size) == ("ünvoice.pdf", "application/pdf", 4)

    def test_a_mail_without_message_id_gets_one_from_its_content(self) -> None:
        one, two, other = (read(b"From: a@x.org\r\n\r\n" + text) for text in (b"same", b"same", b"other"))
        assert one.native_id == two.native_id != other.native_id
        assert one.native_id.startswith("digest:")

    def test_a_decoded_subject_cannot_split_a_header(self) -> None:
        contact = read(BASE + b"Subject: =?utf-8?q?Hi=0D=0ABcc=3A all?=\r\n\r\nx")
        assert contact.subject == "Hi Bcc: all"

    @pytest.mark.parametrize(
        "raw",
        [
            b"",
            b"\x00" * 1000,
            b"no header at all",
            BASE + b"Content-Type: multipart/mixed\r\n\r\nno boundary",
            BASE + b"Content-Type: multipart/mixed; boundary=\r\n\r\n--\r\n",
            BASE + b"Content-Transfer-Encoding: base64\r\n\r\n!!!not base64",
            BASE + b"Content-Transfer-Encoding: x-nonsense\r\n\r\nwords",
            BASE + b"Content-Type: text/plain; charset*0*=x''%zz\r\n\r\nx",
            b"From: " + b"(" * 3000 + b"\r\n\r\nx",
            b"To: " + b"a@x.org, " * 20_000 + b"\r\n\r\nx",
            b"X: y\r\n" * 20_000 + b"\r\nx",
        ],
        ids=range(11),
    )
    def test_nothing_makes_it_fail(self, raw: bytes) -> None:
        contact = read(raw)
        Contact.model_validate_json(contact.model_dump_json())

    def test_nesting_that_breaks_the_standard_library_is_kept_for_a_person(self) -> None:
        raw = BASE
        for n in range(1500):
            raw += b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n)
        contact = read(raw + b"\r\ndeep words", envelope_from="ann@example.org")
        assert set(contact.flags) & {"unparsed", "partial"}
        assert contact.sender.address == "ann@example.org"

    def test_a_mail_that_could_not_be_read_goes_to_a_person_and_gets_no_machines_answer(self) -> None:
        contact = unparsed(b"Subject: x\n\nWhat are your opening hours?", "why", account="help", received_at=NOW)
        contact = contact.model_copy(update={"sender": Sender(kind="email", address="ann@example.org")})
        decision = decide_safely(example_policy(), as_struct(accepted(contact)), Facts(), NOW)
        assert (decision.outcome, decision.answer) == ("queue", None)
        assert decision.queue

    def test_more_text_than_an_event_carries_is_cut_and_says_so(self) -> None:
        contact = read(BASE + b"\r\n" + b"word " * 40_000)
        assert len(contact.text) == limits.TEXT_CHARS
        assert contact.flags == ("partial",)

    @settings(max_examples=150)
    @given(st.binary(max_size=2000))
    def test_any_bytes_give_a_contact(self, raw: bytes) -> None:
        for data in (raw, BASE + raw):
            Contact.model_validate_json(read(data).model_dump_json())

    def test_the_worker_says_the_same(self) -> None:
        import orjson

        raw = BASE + b"Subject: x\r\n\r\nHello there"
        job = orjson.dumps({"account": "help", "received_at": NOW.isoformat()})
        found = Contact.model_validate_json(work(len(job).to_bytes(4, "big") + job + raw))
        assert found == read(raw)


class TestVerdict:
    def of(
        self, *fields: str, sender: str = "ann@example.org", own: str | None = "mx.shop.example", before: str = ""
    ) -> str:
        headers = [("Authentication-Results", field) for field in fields]
        return verdict([*([("Received", before)] if before else []), *headers], sender, own)

    def test_a_dmarc_pass_of_the_senders_domain(self) -> None:
        assert self.of("mx.shop.example; dmarc=pass (p=reject) header.from=example.org") == "verified"
        assert self.of("mx.shop.example; dmarc=pass header.from=other.org") == "unknown"

    def test_aligned_spf_or_dkim(self) -> None:
        assert self.of("mx.shop.example; spf=pass smtp.mailfrom=ann@example.org") == "verified"
        assert self.of("mx.shop.example; dkim=pass header.d=example.org") == "verified"
        assert self.of("mx.shop.example; dkim=pass header.d=evil.org") == "unknown"

    def test_a_failed_dmarc(self) -> None:
        assert self.of("mx.shop.example; dmarc=fail header.from=example.org") == "failed"

    def test_only_our_own_server_is_believed(self) -> None:
        good = "dmarc=pass header.from=example.org"
        assert self.of(f"mx.evil.example; {good}") == "unknown"
        assert self.of(f"mx.shop.example; {good}", own=None) == "unknown"
        assert self.of(f"mx.shop.example; {good}", before="from evil by mx.evil.example") == "unknown"
        assert self.of(f"(mx.shop.example;) mx.evil.example; {good}") == "unknown"

    def test_each_method_is_believed_about_its_own_property_only(self) -> None:
        assert self.of("mx.shop.example; dkim=pass header.d=evil.org header.from=example.org") == "unknown"
        assert self.of("mx.shop.example; spf=pass smtp.mailfrom=evil.org header.d=example.org") == "unknown"
        assert self.of("mx.shop.example; dkim=pass header.d=evil.org header.d=example.org") == "unknown"

    @pytest.mark.parametrize(
        "path",
        [
            "=?utf-8?q?x=3B_dmarc=3Dpass_header.from=3Dexample.org_?=@evil.org",
            '"x; dmarc=pass header.from=example.org "@evil.org',
            r'"x\"; dmarc=pass header.from=example.org \""@evil.org',
            "(a (b) ; dmarc=pass header.from=example.org ) x@evil.org",
            '(of "x) ; dmarc=pass header.from=example.org ("@evil.org) x@evil.org',
            "x@evil.org; dmarc=none header.from=example.org; dmarc=pass header.from=example.org",
            '"x@evil.org; dmarc=pass header.from=example.org',
        ],
        ids=range(7),
    )
    def test_a_return_path_cannot_write_results(self, path: str) -> None:
        field = f"mx.shop.example; spf=pass smtp.mailfrom={path}"
        assert self.of(field) == "unknown"
        mail = f"Authentication-Results: {field}\r\nReceived: by mx.shop.example\r\n".encode() + BASE + b"\r\nx"
        assert read(mail, authserv_id="mx.shop.example").sender.verdict == "unknown"

    def test_a_field_is_believed_through_the_parser_when_it_is_sound(self) -> None:
        field = "mx.shop.example 1;\r\n dkim=fail (no (key)) header.d=x.org;\r\n"
        field += " dmarc=pass (p=none) header.from=Example.org"
        mail = f"Authentication-Results: {field}\r\nReceived: by mx.shop.example\r\n".encode() + BASE + b"\r\nx"
        assert read(mail, authserv_id="mx.shop.example").sender.verdict == "verified"

    def test_nonsense_is_unknown(self) -> None:
        for field in ("", ";", "mx.shop.example", "mx.shop.example; =pass", "mx.shop.example; dmarc=pass" * 1000):
            assert self.of(field) == "unknown"


def reply(**more: object) -> Reply:
    found = examples()["reply"]
    assert isinstance(found, Reply)
    return found.model_copy(update=more)


def content(found: EmailMessage, kind: str = "plain") -> str:
    part = found.get_body((kind,))
    assert part is not None
    return str(part.get_content())


class TestCompose:
    def read_back(self, made: Reply) -> EmailMessage:
        raw = compose(made, address="help@shop.example", name="Shop, “the” Ünique", now=NOW)
        assert max(map(len, raw.split(b"\r\n"))) <= 998
        assert b"\n" not in raw.replace(b"\r\n", b"")
        found = email.message_from_bytes(raw, policy=email.policy.default)
        assert isinstance(found, EmailMessage)
        return found

    def test_the_golden_mail(self) -> None:
        found = self.read_back(reply(automatic=False, subject=""))
        assert found["From"].addresses[0].addr_spec == "help@shop.example"
        assert found["To"] == "ann@example.org"
        assert found["Subject"] == "Re: Hours? [SB-1042]"
        assert found["In-Reply-To"] == "<m1@example.org>"
        assert found["References"] == "<m1@example.org>"
        assert found["Auto-Submitted"] is None
        assert content(found).splitlines() == ["9 to 5"]

    def test_machine_made_mail_says_so(self) -> None:
        found = self.read_back(reply())
        assert found["Auto-Submitted"] == "auto-replied"
        assert found["X-Auto-Response-Suppress"] == "All"
        again = read(found.as_bytes())
        assert again.automatic, "our own parser must never answer it"

    def test_the_message_id_is_the_same_each_time(self) -> None:
        assert message_id(reply(), "shop.example") == message_id(reply(), "shop.example")
        assert message_id(reply(), "shop.example") != message_id(reply(id="other"), "shop.example")

    def test_the_reference_stands_once(self) -> None:
        assert (
            subject(reply(automatic=False, subject="", thread=Thread(subject="Re: x [SB-1042]"))).count("SB-1042") == 1
        )

    def test_an_encoded_word_in_a_subject_is_not_decoded_into_a_header(self) -> None:
        words = "=?utf-8?q?Hi=0D=0ABcc=3A_evil=40example.net=0D=0AX-Injected=3A_1?="
        made = reply(automatic=False, subject="", thread=Thread(subject=words))
        raw = compose(made, address="help@shop.example", name=words, now=NOW)
        assert b"\nBcc:" not in raw
        assert b"\nX-Injected" not in raw
        assert self.read_back(made)["Bcc"] is None

    @settings(max_examples=80)
    @given(st.text(max_size=200), st.text(max_size=200), st.lists(st.text(max_size=40), max_size=5))
    def test_nothing_that_a_customer_sent_can_inject_a_header(self, words: str, text: str, refs: list[str]) -> None:
        made = reply(
            text=text,
            subject="",
            automatic=False,
            thread=Thread.model_construct(subject=words, in_reply_to=words, references=tuple(refs)),
        )
        found = self.read_back(made)
        allowed = {"From", "To", "Subject", "Date", "Message-ID", "In-Reply-To", "References", LOOP_FIELD}
        assert set(found.keys()) <= allowed | {
            "Content-Language",
            "Content-Type",
            "Content-Transfer-Encoding",
            "MIME-Version",
        }
        assert len(found.get_all("To", [])) == 1


class TestRetry:
    @pytest.mark.parametrize("jitter", [0.0, 0.5, 0.999])
    def test_first_after_five_minutes_then_doubling_and_never_more_than_the_cap(self, jitter: float) -> None:
        waits = [next_attempt(n, NOW, NOW, jitter) for n in range(1, 12)]
        steps = [at - NOW for at in waits if at is not None]
        assert FIRST <= steps[0] < FIRST * 1.25
        assert 2 * FIRST <= steps[1] < 2 * FIRST * 1.25
        assert all(a <= b for a, b in pairwise(steps))
        assert CAP * 0.75 < max(steps) <= CAP

    def test_what_failed_together_comes_back_apart(self) -> None:
        for attempt in (1, 4, 5, 99):
            assert next_attempt(attempt, NOW, NOW, 0.1) != next_attempt(attempt, NOW, NOW, 0.9)

    @pytest.mark.parametrize("jitter", [0.0, 0.999])
    def test_after_five_days_it_is_over(self, jitter: float) -> None:
        now, attempt = NOW, 0
        while True:
            attempt += 1
            later = next_attempt(attempt, NOW, now, jitter)
            if later is None:
                break
            now = later
        assert GIVE_UP <= now - NOW <= GIVE_UP + CAP
        assert attempt > AT_LEAST, "time alone has ended it"

    def test_a_reply_that_is_old_at_its_first_attempt_gets_as_many(self) -> None:
        assert next_attempt(1, NOW, NOW + timedelta(days=6), 0.0) is not None
        assert next_attempt(AT_LEAST - 1, NOW, NOW + timedelta(days=60), 0.0) is not None
        assert next_attempt(AT_LEAST, NOW, NOW + timedelta(days=60), 0.0) is None


def test_the_clock_of_a_contact_is_utc() -> None:
    local = datetime(2026, 3, 4, 11, 0, tzinfo=UTC).astimezone()
    assert parse(BASE, account="a", received_at=local).received_at.tzinfo is UTC


@pytest.mark.parametrize("name", ["x" * 201, "Shop =?utf-8?q?Bank?="])
def test_a_name_that_no_header_field_can_carry_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        EmailSettings(address="help@shop.example", name=name)


@pytest.mark.parametrize("name", ["A" + '"' * 198 + "Z", "ü" * 200, "Shop = ?"])
def test_every_other_name_fits_into_lines(name: str) -> None:
    settings_ = EmailSettings(address="help@shop.example", name=name)
    reply = examples()["reply"]
    assert isinstance(reply, Reply)
    raw = compose(reply, address=settings_.address, name=settings_.name, now=NOW)
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    # Not by the standard library: it keeps the spaces between the encoded words of a phrase (RFC 2047 §6.2).
    assert read(raw).sender.name == name


def test_an_account_of_a_domain_with_letters_of_its_own_knows_its_mail_in_both_forms() -> None:
    settings = EmailSettings(address="help@Straße.example", aliases=("hilfe@example.org",))
    assert settings.addresses == ("help@straße.example", "hilfe@example.org", "help@xn--strae-oqa.example")
