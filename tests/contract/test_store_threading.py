"""Which conversation a mail belongs to: what its parser found is enough to join, and never enough for a stranger."""

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update
from sqlalchemy.engine import Connection

from channels.email.parser.parse import parse
from channels.email.threading import Tokens
from schemas.interaction import Contact, EmailContent, Verdict
from store import agents, desk, ledger, policies
from store import conversations as conversations_
from store.blobs import Blobs
from store.database import Database
from store.intake import Acceptance, Intake
from store.outbox import Outbox
from store.tables import conversations, interactions, outbox, participants
from tests.kit.contacts import NOW, arrival

LATER = NOW + timedelta(days=30)
ANN, BOB = "ann@example.org", "bob@example.org"


@pytest.fixture
async def intake(database: Database, tmp_path: Path) -> Intake:
    await database.write(lambda conn: policies.activate(conn, "p-1", b"{}", NOW))
    out = Outbox(lambda key: sum(key.encode()) % 6)
    return Intake(database, Blobs(tmp_path / "blobs"), out, reopen_within=timedelta(days=14))


def mail(
    message_id: str, *fields: str, sender: str = ANN, verdict: Verdict = "unknown", text: str = "Hello"
) -> Contact:
    head = [f"From: {sender}", "To: help@shop.example", "Subject: Lamp", f"Message-ID: <{message_id}>", *fields]
    made = parse("\r\n".join([*head, "", f"{text} {message_id}"]).encode(), account="support", received_at=NOW)
    return made.model_copy(update={"sender": made.sender.model_copy(update={"verdict": verdict})})


def with_token(contact: Contact, conversation: str | None) -> Contact:
    return contact.model_copy(update={"content": contact.content.model_copy(update={"token_of": conversation})})


async def accept(intake: Intake, contact: Contact, now: object = NOW) -> Acceptance:
    return await intake.accept(arrival(contact), now)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("first", "answer"),
    [
        (("JIRA.123.1600000000000.55.1@x", ()), ("a@x", ("In-Reply-To: <JIRA.123.1600000000000.99.2@x>",))),
        (
            ("new@exchange", ("X-MS-Exchange-Original-Message-ID: <own@client>",)),
            ("a@x", ("In-Reply-To: <own@client>",)),
        ),
        (("MiXed@Example.ORG", ()), ("a@x", ("References: <mixed@example.org>",))),
        (
            ("q@x", ("Thread-Index: AQHZ1cJmZmZmZmZmZmZmZmZmZmZmZg==",)),
            ("a@x", ("Thread-Index: AQHZ1cJmZmZmZmZmZmZmZmZmZmZmZoAAAAAB",)),
        ),
    ],
    ids=["Jira's changing tail", "an id that Exchange wrote anew", "another case", "Outlook's Thread-Index alone"],
)
async def test_a_rewritten_id_is_recognised(
    intake: Intake, first: tuple[str, tuple[str, ...]], answer: tuple[str, tuple[str, ...]]
) -> None:
    question = await accept(intake, mail(first[0], *first[1]))
    mine = await accept(intake, mail(answer[0], *answer[1]))
    theirs = await accept(intake, mail("b@x", *answer[1], sender=BOB))
    assert mine.conversation_id == question.conversation_id
    assert theirs.conversation_id != question.conversation_id


async def test_jiras_mails_of_one_issue_join_without_any_reference(intake: Intake) -> None:
    first = await accept(intake, mail("JIRA.12345.1714812345000.10.1714812399999@Atlassian.JIRA"))
    second = await accept(intake, mail("JIRA.12345.1714812345000.77.1714819999999@Atlassian.JIRA"))
    other = await accept(intake, mail("JIRA.12346.1714812345000.77.1714819999999@Atlassian.JIRA"))
    assert second.conversation_id == first.conversation_id != other.conversation_id


async def test_a_token_joins_without_any_reference_and_only_for_a_participant(intake: Intake) -> None:
    question = await accept(intake, mail("q@x"))
    tokens = Tokens(b"secret")
    address = f"help+{tokens.detail(question.conversation_id, ANN)}@shop.example"
    assert tokens.read([address], (), ANN) == (question.conversation_id, False)
    assert tokens.read([address], (), BOB) == (None, True)
    answer = await accept(intake, with_token(mail("a@x"), question.conversation_id))
    stranger = await accept(intake, with_token(mail("b@x", sender=BOB), question.conversation_id))
    assert answer.conversation_id == question.conversation_id
    assert stranger.conversation_id != question.conversation_id


async def test_who_was_in_copy_joins_once_verified(intake: Intake) -> None:
    question = await accept(intake, mail("q@x", f"Cc: {BOB}"))
    refer = "In-Reply-To: <q@x>"
    doubtful = await accept(intake, mail("b1@x", refer, sender=BOB))
    verified = await accept(intake, mail("b2@x", refer, sender=BOB, verdict="verified"))
    assert doubtful.conversation_id != question.conversation_id
    assert verified.conversation_id == question.conversation_id


async def test_a_forged_sender_joins_nothing(intake: Intake, database: Database) -> None:
    question = await accept(intake, mail("q@x"))
    forged = await accept(intake, mail("f@x", "In-Reply-To: <q@x>", verdict="failed"))
    assert forged.conversation_id != question.conversation_id
    query = select(conversations.c.linked_to).where(conversations.c.id == forged.conversation_id)
    assert await database.read(lambda conn: conn.scalar(query)) == question.conversation_id


async def test_what_was_settled_long_ago_stays_closed_and_is_linked(intake: Intake, database: Database) -> None:
    question = await accept(intake, mail("q@x"))
    refer = "In-Reply-To: <q@x>"
    waiting = await accept(intake, mail("w@x", refer), LATER)
    assert waiting.conversation_id == question.conversation_id, "nothing was settled yet"
    await database.write(lambda conn: conn.execute(update(interactions).values(state="closed")))
    await database.write(lambda conn: conn.execute(update(conversations).values(last_at=NOW)))
    soon = await accept(intake, mail("s@x", refer), NOW + timedelta(days=13))
    assert soon.conversation_id == question.conversation_id
    await database.write(lambda conn: conn.execute(update(interactions).values(state="closed")))
    late = await accept(intake, mail("l@x", refer), NOW + timedelta(days=28))
    assert late.conversation_id != question.conversation_id
    assert late.seq == 1
    query = select(conversations.c.linked_to).where(conversations.c.id == late.conversation_id)
    assert await database.read(lambda conn: conn.scalar(query)) == question.conversation_id
    after = await accept(intake, mail("m@x", "In-Reply-To: <l@x>", "References: <q@x> <l@x>"), NOW + timedelta(days=29))
    assert after.conversation_id == late.conversation_id


def test_the_parser_says_by_what_a_mail_is_known() -> None:
    content = mail("A@x", "In-Reply-To: <Q@x>", "References: <R@x> <Q@x>").content
    assert isinstance(content, EmailContent)
    assert content.keys == ("a@x",)
    assert content.refers_to == ("q@x", "r@x")


AGENT = "kim@shop.example"


async def test_an_agents_mail_to_a_conversation_is_an_internal_note(intake: Intake, database: Database) -> None:
    await database.write(lambda conn: agents.add(conn, "kim", address="Kim@Shop.example", at=NOW))
    question = await accept(intake, mail("q@x"))
    answer = ("In-Reply-To: <q@x>", "Cc: boss@shop.example")
    note = await accept(intake, mail("n@x", *answer, sender=AGENT, verdict="verified"))
    forged = await accept(intake, mail("f@x", *answer, sender=AGENT, verdict="unknown"))
    of_their_own = await accept(intake, mail("o@x", sender=AGENT, verdict="verified"))
    assert note.conversation_id == question.conversation_id
    assert len({question.conversation_id, forged.conversation_id, of_their_own.conversation_id}) == 3

    def states(conn: Connection) -> dict[str, tuple[str, str]]:
        return {
            i: (r.state.value, r.reason) for i, r in ledger.standings(conn, [a.interaction_id for a in every]).items()
        }

    every = (question, note, forged, of_their_own)
    found = await database.read(states)
    assert [found[a.interaction_id] for a in every] == [
        ("received", ""), ("closed", "internal_note"), ("received", ""), ("received", ""),
    ]  # fmt: skip
    people = await database.read(
        lambda c: {r.address: r.role for r in c.execute(select(participants).where(
            participants.c.conversation_id == question.conversation_id))}
    )  # fmt: skip
    assert people == {ANN: "participant"}, "neither the agent nor who is in copy of a note takes part"
    waiting = await database.read(lambda c: c.scalars(select(outbox.c.event_id)).all())
    assert note.interaction_id not in waiting
    more = await accept(intake, mail("m@x", "In-Reply-To: <n@x>"))
    assert more.conversation_id == question.conversation_id, "what quotes a note still belongs there"


RECEIPT = (
    "Content-Type: multipart/report; report-type=disposition-notification; boundary=b",
    "",
    "--b",
    "Content-Type: text/plain",
    "",
    "Your mail was displayed.",
    "--b",
    "Content-Type: message/disposition-notification",
    "",
    "Original-Message-ID: <Ours@shop.example>",
    "Disposition: manual-action/MDN-sent-manually; displayed",
    "--b--",
)


async def test_a_receipt_for_a_mail_of_ours_is_a_note_that_reopens_nothing(intake: Intake, database: Database) -> None:
    question = await accept(intake, mail("q@x"))

    def settled(conn: Connection) -> None:
        conversations_.index_messages(conn, question.conversation_id, ["ours@shop.example"])
        conn.execute(update(interactions).values(state="answered"))

    await database.write(settled)
    mine = await accept(intake, mail("r@x", *RECEIPT), LATER)
    strange = await accept(intake, mail("s@x", *RECEIPT, sender=BOB), LATER)
    assert (mine.conversation_id, mine.seq) == (question.conversation_id, 2)
    assert strange.conversation_id != question.conversation_id
    found = await database.read(lambda c: ledger.find_all(c, [mine.interaction_id, strange.interaction_id]))
    standing, kept = found[mine.interaction_id]
    assert (standing.state.value, standing.reason) == ("closed", "receipt")
    assert kept is not None
    assert "receipt" in kept.flags
    assert found[strange.interaction_id][0].state.value == "received", "that is decided on, as any mail"
    waiting = await database.read(lambda c: c.scalars(select(outbox.c.event_id)).all())
    assert mine.interaction_id not in waiting


async def test_an_answer_goes_to_who_takes_part_not_to_who_wrote_last(intake: Intake, database: Database) -> None:
    await database.write(lambda conn: agents.add(conn, "kim", address=AGENT, at=NOW))
    question = await accept(intake, mail("q@x", f"Cc: {BOB}"))
    await accept(intake, mail("b@x", "In-Reply-To: <q@x>", sender=BOB, verdict="verified"))
    await accept(intake, mail("n@x", "In-Reply-To: <q@x>", sender=AGENT, verdict="verified"))
    away = mail("v@x", "In-Reply-To: <q@x>", "Auto-Submitted: auto-replied")
    assert away.automatic
    await accept(intake, away)
    found = await database.read(lambda conn: desk._addressee(conn, question.conversation_id, 4))
    assert (found.sender.address, found.seq) == (ANN, 1)
    alone = await accept(intake, mail("s@x", "Auto-Submitted: auto-replied"))
    found = await database.read(lambda conn: desk._addressee(conn, alone.conversation_id, 1))
    assert found.id == alone.interaction_id
