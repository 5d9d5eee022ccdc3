"""Which conversation a mail belongs to."""

import pytest

from channels.email.letter import Letter, index_root, letter_of, stable
from channels.email.parser.mail import Known, Mail
from channels.email.threading import Threads, Tokens

ANN, BOB, US = "ann@example.org", "bob@example.net", "help@shop.example"
FIRST = Letter("m1@x", ANN, recipients=[US])
OURS = Letter("r1@shop", US, recipients=[ANN], in_reply_to=["m1@x"], references=["m1@x"], ours=True)


def placed(*letters: Letter, tokens: Tokens | None = None) -> list[tuple[str, str | None]]:
    threads = Threads("help", tokens)
    return [(found.how, found.joined) for found in (threads.place(each, f"{n}.eml") for n, each in enumerate(letters))]


def test_an_answer_joins_the_mail_that_it_answers() -> None:
    reply = Letter("m2@x", ANN, in_reply_to=["r1@shop"], references=["m1@x", "r1@shop"])
    assert placed(FIRST, OURS, reply) == [("new", None), ("message_id", "0.eml"), ("message_id", "1.eml")]


def test_a_stranger_who_names_our_ids_gets_a_conversation_of_their_own() -> None:
    threads = Threads("help")
    threads.place(FIRST, "0.eml")
    found = threads.place(Letter("m2@x", BOB, in_reply_to=["m1@x"]), "1.eml")
    assert (found.how, found.joined) == ("new", None)
    assert found.refused == ("message_id: the sender takes no part in it",)
    again = threads.place(Letter("m3@x", BOB, in_reply_to=["m1@x"]), "2.eml")
    assert (again.key, again.how, again.joined) == (found.key, "references", "1.eml")


def test_a_sender_who_is_not_who_they_say_never_joins() -> None:
    assert placed(FIRST, Letter("m2@x", ANN, in_reply_to=["m1@x"], failed=True))[1] == ("new", None)


def test_who_was_in_copy_joins_when_verified_and_takes_no_part() -> None:
    first = Letter("m1@x", ANN, recipients=[US], cc=[BOB])
    answer = Letter("m2@x", BOB, in_reply_to=["m1@x"])
    assert placed(first, answer)[1] == ("new", None)
    verified = Letter("m2@x", BOB, in_reply_to=["m1@x"], verified=True)
    unverified = Letter("m3@x", BOB, in_reply_to=["m2@x"])
    assert placed(first, verified, unverified)[1:] == [("message_id", "0.eml"), ("new", None)]


def test_a_changed_subject_joins_and_an_equal_one_does_not() -> None:
    assert placed(FIRST, Letter("m2@x", ANN, in_reply_to=["m1@x"], subject="else"))[1][0] == "message_id"
    threads = Threads("help")
    threads.place(Letter("m1@x", ANN, subject="Order [SB-1042]"), "0.eml")
    found = threads.place(Letter("m2@x", ANN, subject="Re: Order [SB-1042]"), "1.eml")
    assert (found.how, found.refused) == ("new", ("subject: SB-1042 is not signed",))


def test_ids_that_a_relay_rewrote() -> None:
    rewritten = Letter("new@outlook.example", US, recipients=[ANN], ours=True, aliases=["r1@shop"], references=["m1@x"])
    assert placed(FIRST, rewritten, Letter("m2@x", ANN, in_reply_to=["r1@shop"]))[2] == ("message_id", "1.eml")
    ses = "010001890abcdef0-12345678-1234-1234-1234-123456789012-000000"
    sent = Letter(f"{ses}@email.amazonses.com", US, recipients=[ANN], ours=True, references=["m1@x"])
    assert placed(FIRST, sent, Letter("m2@x", ANN, in_reply_to=[f"{ses}@eu-west-1.amazonses.com"]))[2][1] == "1.eml"


def test_jira_writes_another_tail_each_time() -> None:
    one = "JIRA.12345.1714812345000.10.1714812399999@Atlassian.JIRA"
    other = "JIRA.12345.1714812345000.77.1714819999999@Atlassian.JIRA"
    assert stable(one) == stable(other) != stable(one.replace("12345.", "12346."))
    assert placed(Letter(one, ANN), Letter("m2@x", ANN, in_reply_to=[other]))[1] == ("message_id", "0.eml")


def test_outlook_that_lost_the_references_keeps_its_thread_index() -> None:
    root = "AdqBcdefghijklmnopqrstuvwxyz0123"
    first = Letter("m1@x", ANN, thread_index=root)
    reply = Letter("m2@x", ANN, thread_index=root[:-2] + "00aaaaaaaa")
    assert index_root(root)
    assert index_root(root) == index_root(root[:-2] + "00aaaaaaaa")
    assert placed(first, reply)[1] == ("message_id", "0.eml")
    assert index_root("???") == index_root("AAAA") == ""


def test_a_bounce_joins_the_reply_that_it_is_about() -> None:
    bounce = Letter("b1@mx", "mailer-daemon@mx", about="r1@shop", about_recipients=[ANN])
    assert placed(FIRST, OURS, bounce)[2] == ("message_id", "1.eml")
    forged = Letter("b2@mx", "mailer-daemon@mx", about="r1@shop", about_recipients=[BOB])
    assert placed(FIRST, OURS, forged)[2][0] == "new"


def test_a_signed_token_joins_its_recipient_and_nobody_else() -> None:
    tokens = Tokens(b"k" * 32)
    threads = Threads("help", tokens)
    key = threads.place(FIRST, "0.eml").key
    address = f"help+{tokens.detail(key, ANN)}@shop.example"
    good = threads.place(Letter("m2@x", ANN, recipients=[address]), "1.eml")
    assert (good.key, good.how, good.joined) == (key, "token", "0.eml")
    by_id = threads.place(Letter("m3@x", ANN, in_reply_to=[f"{tokens.id_prefix(key, ANN)}7@shop.example"]), "2.eml")
    assert (by_id.key, by_id.how) == (key, "token")
    passed_on = threads.place(Letter("m4@x", BOB, recipients=[address]), "3.eml")
    assert (passed_on.how, passed_on.refused) == ("new", ("token: not ours, or not this sender's",))
    forged = Letter("m5@x", ANN, recipients=[f"help+{Tokens(b'x' * 32).detail(key, ANN)}@shop.example"])
    assert threads.place(forged, "4.eml").how == "new"


def test_without_a_key_no_token_is_believed() -> None:
    address = f"help+{Tokens(b'k' * 32).detail('6ba7b810-9dad-11d1-80b4-00c04fd430c8', ANN)}@shop.example"
    assert Threads("help").place(Letter("m@x", ANN, recipients=[address]), "0").refused


HERE = (
    "Authentication-Results: mx.shop.example; dmarc={} header.from=shop.example\nReceived: from x by mx.shop.example\n"
)


@pytest.mark.parametrize(
    ("head", "ours"),
    [
        (f"From: {US}\n", True),
        (HERE.format("pass") + f"From: {US}\n", True),
        (HERE.format("fail") + f"From: {US}\n", False),
        (f"Received: from x by mx.shop.example\nFrom: {US}\n", False),
        ("X-Switchboard-Loop: x\nFrom: eve@example.net\n", False),
    ],
    ids=["from our own folder", "proved", "not who it says", "nothing proved", "a loop header alone"],
)
def test_whoever_writes_in_our_name_takes_no_part(head: str, ours: bool) -> None:
    raw = f"{head}To: eve@example.net\nSubject: Order\nIn-Reply-To: <m1@x>\n\nhi".encode()
    mail = Mail(raw, Known(own_addresses=(US,), authserv_ids=("mx.shop.example",)))
    assert letter_of(mail).ours is ours
