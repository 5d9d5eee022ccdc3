"""A mail that came back: sent becomes failed, the work item opens again, the address is marked; on every database."""

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.engine import Connection

from bus.topics import DELIVERIES
from schemas.codec import decode
from schemas.delivery import Delivery
from schemas.interaction import Contact, EmailBounce, Interaction
from schemas.reply import Reply
from schemas.states import DeliveryState, InteractionState
from store import customers, deliveries, policies
from store.database import Database
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
