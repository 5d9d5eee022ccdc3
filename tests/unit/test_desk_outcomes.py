"""What the desk says became of an answer: plain words, with the server's own beside them."""

from dataclasses import replace
from datetime import timedelta

import pytest

from agents.outcomes import in_one_line, outcomes
from channels.email.sending.plain import in_words
from schemas.states import DeliveryState
from store.deliveries import Row
from tests.kit.contacts import NOW

D = DeliveryState
LATER = NOW + timedelta(minutes=5)
ROW = Row(
    reply_id="r",
    recipient="ann@example.org",
    conversation_id="c",
    channel="email",
    account="help",
    state=D.PENDING,
    attempt=0,
    detail="",
    provider_id="",
    due_at=LATER,
    created_at=NOW,
    changed_at=NOW,
)


@pytest.mark.parametrize(
    ("state", "attempt", "detail", "words", "why", "said"),
    [
        (D.PENDING, 0, "", "waits to be sent", "", ""),
        (D.PENDING, 1, "resolved by ada: send it again", "waits to be sent again", "ada has it sent again", ""),
        (D.ATTEMPTING, 1, "", "is being sent", "", ""),
        (D.ATTEMPTING, 2, "RCPT: 450 4.2.0 grey", "is being sent", "", ""),
        (D.SENT, 1, "dot: 250 OK", "sent", "the mail server took it", "dot: 250 OK"),
        (D.SENT, 1, "resolved by ada: it was sent", "sent", "ada says that it arrived", ""),
        (
            D.DEFERRED,
            1,
            "RCPT: 450 4.2.0 grey",
            "will be tried again",
            "that server asks to come again later",
            "RCPT: 450 4.2.0 grey",
        ),
        (
            D.DEFERRED,
            1,
            "DATA: SMTPServerDisconnected: Unexpected EOF received",
            "will be tried again",
            "it could not be passed on this time",
            "DATA: SMTPServerDisconnected: Unexpected EOF received",
        ),
        (D.DEFERRED, 0, "the sender stopped first", "will be tried again", "the sender stopped first", ""),
        (
            D.FAILED,
            1,
            in_words("RCPT: 550 5.1.1 no such user (here)"),
            "not delivered",
            "there is no such mailbox: ask the customer for another address",
            "RCPT: 550 5.1.1 no such user (here)",
        ),
        (D.FAILED, 1, "RCPT: 550 xyzzy", "not delivered", "the mail server refused it", "RCPT: 550 xyzzy"),
        (
            D.FAILED,
            9,
            "given up after 9 attempts: RCPT: 450 4.2.0 grey",
            "not delivered",
            "given up after 9 attempts; the last time that server asks to come again later",
            "RCPT: 450 4.2.0 grey",
        ),
        (D.FAILED, 1, "bounced (5.1.1): it takes no mail", "came back", "it takes no mail", "bounced (5.1.1)"),
        (
            D.UNKNOWN,
            1,
            "dot: SMTPServerDisconnected: Unexpected EOF received",
            "nobody knows whether it arrived",
            "the link broke at the very end",
            "dot: SMTPServerDisconnected: Unexpected EOF received",
        ),
        (
            D.UNKNOWN,
            1,
            "the sender stopped in the middle of sending",
            "nobody knows whether it arrived",
            "the sender stopped in the middle of sending",
            "",
        ),
        (D.WITHDRAWN, 0, "withdrawn by ada", "withdrawn by ada", "", ""),
        (D.WITHDRAWN, 1, "ada has answered", "withdrawn", "ada has answered", ""),
    ],
)
@pytest.mark.parametrize("copied", [False, True])
def test_raw_words_stood_where_people_read(
    state: DeliveryState, attempt: int, detail: str, words: str, why: str, said: str, copied: bool
) -> None:
    detail = f"{ROW.recipient} in copy: {detail}" if copied and detail else detail
    row = replace(ROW, state=state, attempt=attempt, detail=detail)
    (found,) = outcomes([row], [row], in_words)
    assert (found.words, found.why, found.said) == (words, why, said)
    moments = {D.PENDING: None, D.ATTEMPTING: None, D.DEFERRED: LATER, D.UNKNOWN: None}
    assert found.at == moments.get(state, NOW)


def test_an_answer_behind_an_earlier_one_that_is_not_done_says_so() -> None:
    first = replace(ROW, reply_id="first", state=D.DEFERRED, created_at=NOW - timedelta(minutes=1))
    (found,) = outcomes([ROW], [first, ROW], in_words)
    assert found.why == "an earlier answer has to go first"
    for other in (replace(first, state=D.SENT), replace(first, recipient="bob@example.net"), ROW):
        (found,) = outcomes([ROW], [other, ROW], in_words)
        assert found.why == ""


def test_one_line_names_recipients_only_where_they_differ() -> None:
    assert in_one_line([]) == "waits to be sent"
    both = [ROW, replace(ROW, recipient="bob@example.net")]
    assert in_one_line(outcomes(both, both, in_words)) == "waits to be sent"
    both[1] = replace(both[1], state=D.SENT, detail="dot: 250 OK")
    assert in_one_line(outcomes(both, both, in_words)) == (
        "ann@example.org: waits to be sent; bob@example.net: sent: the mail server took it"
    )


def test_a_chat_waits_for_its_visitor() -> None:
    assert in_one_line(outcomes([replace(ROW, channel="chat")], [], in_words)).startswith("waits until the visitor")
