"""A mail that came back: sent becomes failed, the work item opens again, the address is marked; on every database."""

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update
from sqlalchemy.engine import Connection

from bus.topics import DELIVERIES
from channels.email.parser.parse import parse
from channels.email.reading import MailReader
from channels.email.sending.compose import message_id, tagged
from channels.email.settings import EmailSettings
from channels.email.threading import Tokens
from schemas.codec import decode
from schemas.delivery import Delivery
from schemas.interaction import Contact, EmailBounce, EmailContent, Interaction
from schemas.reply import Reply
from schemas.states import DeliveryState, InteractionState
from store import customers, deliveries, policies
from store.database import Database
from store.tables import deliveries as deliveries_table
from store.tables import outbox
from tests.contract.test_applier import OPENING_HOURS, House
from tests.kit.contacts import NOW, T1, email
from tests.kit.policies import example_policy

SENT_AS = "sb.abc@shop.example"
D = DeliveryState


@pytest.fixture
async def house(database: Database, tmp_path: Path) -> House:
    policy = example_policy()
    await database.write(lambda c: policies.activate(c, policy.version, policy.source.to_json(), NOW))
    return House(database, tmp_path)


async def answered(house: House, end: DeliveryState = D.SENT, cc: tuple[str, ...] = ()) -> tuple[Interaction, Reply]:
    """An automatic answer that the relay took."""
    asked = await house.accept(email(subject=OPENING_HOURS, text=OPENING_HOURS))
    await house.push(house.decide(asked))
    (reply,) = await house.replies(asked)
    reply = reply.model_copy(update={"cc": cc})

    def work(c: Connection) -> None:
        deliveries.copy_in(c, [reply], T1)
        deliveries.arrive(c, "s", T1, T1 + timedelta(minutes=1))
        for who in deliveries.recipients(reply):
            assert deliveries.begin(c, reply.id, who, owner="s", provider_id=SENT_AS, now=T1)
            deliveries.finish(c, house.out, reply.id, who, end, frm=[D.ATTEMPTING], now=T1)

    await house.database.write(work)
    return asked, reply


def report(**more: object) -> Contact:
    values = {"kind": "hard", "status": "5.1.1", "recipients": ("ann@example.org",), "about_message_id": SENT_AS}
    bounce = EmailBounce.model_validate({**values, **more})
    made = email("bounce@mx.example", sender="mailer-daemon@mx.example", subject="Undeliverable", automatic="bounce")
    content = made.content.model_copy(update={"bounce": bounce, "automatic_class": "bounce"})
    return made.model_copy(update={"content": content})


async def row(house: House, reply: Reply) -> deliveries.Row:
    (found,) = await house.database.read(lambda c: deliveries.of_conversation(c, reply.conversation_id))
    return found


async def bounce(house: House, contact: Contact) -> None:
    await house.push(house.decide(await house.accept(contact)))


async def test_a_bounce_turns_sent_into_failed_and_marks_the_address(house: House) -> None:
    asked, reply = await answered(house)
    await bounce(house, report())
    found = await row(house, reply)
    assert found.state is D.FAILED
    assert found.detail.startswith("bounced (5.1.1)")
    known = await house.database.read(lambda c: customers.by_id(c, [asked.customer_id]))
    assert known[asked.customer_id].tags == ("undeliverable",)


async def test_a_bounce_settles_what_was_unknown(house: House) -> None:
    _, reply = await answered(house, D.UNKNOWN)
    await bounce(house, report())
    found = await row(house, reply)
    assert (found.state, found.detail[:7]) == (D.FAILED, "bounced")


async def test_of_several_recipients_the_one_that_is_named_has_failed(house: House) -> None:
    _, reply = await answered(house, cc=("bob@example.net",))
    await bounce(house, report(recipients=("bob@example.net",)))
    rows = await house.database.read(lambda c: deliveries.of_conversation(c, reply.conversation_id))
    assert {each.recipient: each.state for each in rows} == {"ann@example.org": D.SENT, "bob@example.net": D.FAILED}


async def test_a_copy_that_is_named_with_its_domain_as_it_went_over_the_wire_is_found(house: House) -> None:
    """It was taken for a bounce of the customer's."""
    _, reply = await answered(house, cc=("bob@straße.example",))
    await bounce(house, report(recipients=("Bob@xn--strae-oqa.example",)))
    rows = await house.database.read(lambda c: deliveries.of_conversation(c, reply.conversation_id))
    assert {each.recipient: each.state for each in rows} == {"ann@example.org": D.SENT, "bob@straße.example": D.FAILED}


async def test_what_it_reports_reopens_the_work_item(house: House) -> None:
    asked, _ = await answered(house)
    await bounce(house, report())

    def told(conn: Connection) -> list[Delivery]:
        rows = conn.execute(select(outbox.c.headers, outbox.c.value).where(outbox.c.topic == DELIVERIES))
        events = [decode([(name, value.encode()) for name, value in r.headers], r.value) for r in rows]
        return [event for event in events if isinstance(event, Delivery)]

    await house.push(*(each for each in await house.database.read(told) if each.state is D.FAILED))
    assert await house.state(asked) is InteractionState.QUEUED
    assert "bounced" in (await house.items(asked))[-1].reason


async def test_a_full_mailbox_does_not_mark_the_address(house: House) -> None:
    asked, reply = await answered(house)
    await bounce(house, report(kind="soft", status="5.2.2"))
    assert (await row(house, reply)).state is D.FAILED
    assert (await house.database.read(lambda c: customers.by_id(c, [asked.customer_id])))[asked.customer_id].tags == ()


@pytest.mark.parametrize(
    "more",
    [{"kind": "delayed"}, {"about_message_id": "other@shop.example"}, {"about_message_id": None}],
    ids=["a delay", "another mail", "nobody's conversation"],
)
async def test_what_is_no_bounce_of_ours_changes_nothing(house: House, more: dict[str, object]) -> None:
    _, reply = await answered(house)
    await bounce(house, report(**more))
    assert (await row(house, reply)).state is D.SENT


async def test_a_report_without_the_mail_is_known_by_its_return_path(house: House) -> None:
    asked, reply = await answered(house)
    contact = report(about_message_id=None)
    signed = contact.content.model_copy(update={"token_of": asked.conversation_id})
    await bounce(house, contact.model_copy(update={"content": signed}))
    assert (await row(house, reply)).state is D.FAILED


SECRET, STRANGERS = b"s" * 32, b"x" * 32
ACCOUNT = EmailSettings(address="help@shop.example", plus_addressing=True, verp=True)


def came_back(to: str, *named: str) -> Contact:
    """A report that came to the return path `to`, as the mail's own reader takes it. It returns nothing of the mail."""
    fields = [
        "From: MAILER-DAEMON@mx.elsewhere.example", f"To: {to}", "Subject: Undelivered Mail Returned to Sender",
        "Message-ID: <bounce@mx>", "Auto-Submitted: auto-replied",
    ]  # fmt: skip
    body = ["", "Could not be delivered."]
    if named:
        fields.append("Content-Type: multipart/report; report-type=delivery-status; boundary=b")
        each = [["", f"Final-Recipient: rfc822; {who}", "Action: failed", "Status: 5.1.1"] for who in named]
        groups = [line for group in each for line in group]
        body = [
            "", "--b", "", "Could not be delivered.", "--b", "Content-Type: message/delivery-status", "",
            "Reporting-MTA: dns; mx.elsewhere.example", *groups, "", "--b--",
        ]  # fmt: skip
    raw = "\r\n".join([*fields, *body, ""]).encode()
    contact = parse(raw, account="support", received_at=NOW, envelope_from="", envelope_to=[to])
    return MailReader({"support": ACCOUNT}, SECRET).signed(contact, [to])


async def with_verp(house: House, cc: tuple[str, ...] = ()) -> tuple[Reply, str]:
    """An answer that went out as the sender makes it, and its return path."""
    _, reply = await answered(house, cc=cc)
    tokens = Tokens(SECRET)
    named = update(deliveries_table).values(provider_id=message_id(reply, "shop.example", tokens))
    await house.database.write(lambda c: c.execute(named))
    return reply, tagged(ACCOUNT.address, reply, tokens)


async def states(house: House, reply: Reply) -> dict[str, DeliveryState]:
    rows = await house.database.read(lambda c: deliveries.of_conversation(c, reply.conversation_id))
    return {each.recipient: each.state for each in rows}


ANN, BOB = "ann@example.org", "bob@example.net"


@pytest.mark.parametrize(
    ("named", "failed"),
    [
        ((ANN,), ANN),
        (("ann.smith@elsewhere.example",), ANN),
        ((), ANN),
        ((BOB,), BOB),
        (("BOB@example.net", "ann.smith@elsewhere.example"), BOB),
    ],
    ids=["the customer", "whom she forwards to", "nobody", "who was in copy", "one who was in copy, and another"],
)
async def test_what_comes_to_the_return_path_is_known_whomever_it_names(
    house: House, named: tuple[str, ...], failed: str
) -> None:
    reply, path = await with_verp(house, cc=(BOB,))
    await bounce(house, came_back(path, *named))
    assert await states(house, reply) == {ANN: D.SENT, BOB: D.SENT} | {failed: D.FAILED}


async def test_a_second_one_that_names_nobody_leaves_the_copies_alone(house: House) -> None:
    reply, path = await with_verp(house, cc=(BOB,))
    again = came_back(path).model_copy(update={"native_id": "again@mx"})
    await bounce(house, came_back(path))
    await bounce(house, again)
    assert await states(house, reply) == {ANN: D.FAILED, BOB: D.SENT}


async def test_an_id_that_a_relay_has_written_anew_hides_no_return_path(house: House) -> None:
    reply, path = await with_verp(house)
    contact = came_back(path, "ann.smith@elsewhere.example")
    assert isinstance(contact.content, EmailContent)
    assert contact.content.bounce is not None
    other = contact.content.bounce.model_copy(update={"about_message_id": "0100018f@ses.example"})
    await bounce(house, contact.model_copy(update={"content": contact.content.model_copy(update={"bounce": other})}))
    assert await states(house, reply) == {ANN: D.FAILED}


@pytest.mark.parametrize("named", [(), (ANN,), ("ann.smith@elsewhere.example",)])
async def test_a_return_path_that_a_stranger_made_up_fails_nothing(house: House, named: tuple[str, ...]) -> None:
    reply, path = await with_verp(house)
    forged = tagged(ACCOUNT.address, reply, Tokens(STRANGERS))
    assert forged != path
    await bounce(house, came_back(forged, *named))
    assert await states(house, reply) == {ANN: D.SENT}


async def test_a_mail_with_copies_that_comes_back_for_nobody_known_is_the_customers(house: House) -> None:
    _, reply = await answered(house, cc=(BOB,))
    await bounce(house, report(recipients=("ann.smith@elsewhere.example",)))
    assert await states(house, reply) == {ANN: D.FAILED, BOB: D.SENT}
