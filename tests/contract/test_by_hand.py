"""What people do about deliveries, and what becomes of the work that waited for it; on every database."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.engine import Connection

from bus.topics import DELIVERIES
from schemas.codec import decode
from schemas.delivery import Delivery
from schemas.errors import NotFound, StateConflict
from schemas.interaction import Interaction
from schemas.reply import Reply
from schemas.states import DeliveryState, InteractionState, WorkItemState
from schemas.work_item import WorkItem
from store import by_hand, deliveries, desk, replies, work_items
from store.database import Database
from store.tables import deliveries as deliveries_table
from store.tables import outbox
from tests.contract.test_applier import OPENING_HOURS, House
from tests.kit.contacts import NOW, T1, chat, email
from tests.kit.policies import example_policy

D, S, W = DeliveryState, InteractionState, WorkItemState
SENT_AS = "sb.abc@shop.example"
OWNER = "sender"


class Office(House):
    """A house with a sender's hands, and an agent's."""

    told: frozenset[str] = frozenset()

    async def arrive(self) -> None:
        await self.database.write(lambda c: deliveries.arrive(c, OWNER, T1, T1 + timedelta(days=1)))

    async def sent(self, made: Reply, *ends: DeliveryState) -> None:
        """Attempt it for its recipients, each with its end, and let the applier know."""

        def work(c: Connection) -> None:
            deliveries.copy_in(c, [made], T1)
            for who, end in zip(deliveries.recipients(made), ends, strict=True):
                assert deliveries.begin(c, made.id, who, owner=OWNER, provider_id=SENT_AS, now=T1)
                deliveries.finish(c, self.out, made.id, who, end, frm=[D.ATTEMPTING], now=T1, detail="as told")

        await self.database.write(work)
        await self.tell()

    async def events(self) -> list[Delivery]:
        """What the topic has of deliveries, in its order."""
        query = select(outbox).where(outbox.c.topic == DELIVERIES).order_by(outbox.c.id)
        rows = await self.database.read(lambda c: c.execute(query).all())
        events = [decode(tuple((name, value.encode()) for name, value in row.headers), row.value) for row in rows]
        return [e for e in events if isinstance(e, Delivery)]

    async def request(self, *made: Reply) -> None:
        def work(c: Connection) -> None:
            replies.request(c, self.out, made)
            deliveries.copy_in(c, made, T1)

        await self.database.write(work)

    async def tell(self) -> None:
        """Bring the applier what it has not been told of deliveries."""
        new = [e for e in await self.events() if e.id not in self.told]
        self.told = self.told | {event.id for event in new}
        for event in new:
            await self.push(event)

    async def resolve(self, made: Reply, *, sent: bool, by: str = "a person", recipient: str | None = None) -> str:
        whose = await self.database.write(
            lambda c: by_hand.resolve(c, self.out, made.id, sent=sent, now=T1, by=by, recipient=recipient)
        )
        await self.tell()
        return whose

    async def withdraw(self, made: Reply) -> None:
        await self.database.write(lambda c: by_hand.withdraw(c, self.out, made, "ada", T1))
        await self.tell()

    async def states(self, made: Reply) -> dict[str, DeliveryState]:
        rows = await self.database.read(lambda c: deliveries.of_conversation(c, made.conversation_id))
        return {row.recipient: row.state for row in rows if row.reply_id == made.id}

    async def claim(self, agent: str = "ada") -> WorkItem:
        item = await self.database.write(
            lambda c: work_items.claim(c, self.out, agent, queues=(), now=T1, until=T1 + timedelta(minutes=5))
        )
        assert item is not None
        return item

    async def answer(self, item: WorkItem, *, through: int = 1, key: str = "key-1") -> Reply:
        return await self.database.write(
            lambda c: desk.reply(
                c,
                self.out,
                item_id=item.id,
                agent=item.agent or "",
                epoch=item.epoch,
                key=key,
                text="It left today.",
                answers_through=through,
                now=T1,
            )
        )

    async def item(self, interaction: Interaction) -> WorkItem:
        *_, last = await self.items(interaction)
        return last


@pytest.fixture
async def office(database: Database, tmp_path: Path) -> Office:
    office = Office(database, tmp_path)
    await office.adopt(example_policy())
    await office.arrive()
    return office


class TestAcknowledgement:
    """ "We have got your message" does not come after the answer."""

    async def acknowledged(self, office: Office, contact: object) -> tuple[Interaction, Reply]:
        asked = await office.accept(contact)
        await office.push(office.decide(asked))
        (made,) = await office.replies(asked)
        assert made.acknowledgement
        return asked, made

    @pytest.mark.parametrize("end", [None, D.DEFERRED, D.SENT, D.UNKNOWN])
    async def test_what_has_not_gone_when_an_agent_answers_does_not_go(
        self, office: Office, end: DeliveryState | None
    ) -> None:
        asked, receipt = await self.acknowledged(office, email())
        if end is not None:
            await office.sent(receipt, end)
        before = await office.item(asked)
        made = await office.answer(await office.claim())
        await office.tell()
        known = {D.SENT: D.SENT, D.UNKNOWN: D.UNKNOWN}.get(end, D.WITHDRAWN) if end else D.WITHDRAWN
        assert set((await office.states(receipt)).values()) == {known}
        assert await office.state(asked) is S.ANSWERING
        assert (await office.item(asked)).reason == before.reason, "nobody has to look at that"
        await office.database.write(lambda c: deliveries.copy_in(c, [receipt, made], T1))
        due = await office.database.read(lambda c: deliveries.due(c, "email", T1 + timedelta(days=1), 10))
        assert [each.reply.id for each in due] == [made.id]

    async def test_that_of_a_later_message_goes(self, office: Office) -> None:
        asked, _ = await self.acknowledged(office, email())
        item = await office.claim()
        later = await office.accept(email("m2", references=("m1@example.org",), text="And another thing"))
        assert later.conversation_id == asked.conversation_id
        receipt = (await office.replies(asked))[0].model_copy(update={"id": "later", "answers_through": later.seq})
        await office.database.write(lambda c: deliveries.copy_in(c, [receipt], T1))
        await office.answer(item, through=1)
        assert set((await office.states(receipt)).values()) == {D.PENDING}

    async def test_nobody_is_asked_to_look_at_one_that_was_withdrawn(self, office: Office) -> None:
        asked, receipt = await self.acknowledged(office, email())
        more = await office.accept(email("m2", references=("m1@example.org",), text="And another thing"))
        await office.push(office.decide(more))
        before = await office.item(asked)
        await office.answer(await office.claim(), through=1)
        await office.tell()
        assert set((await office.states(receipt)).values()) == {D.WITHDRAWN}
        assert (await office.state(more), (await office.item(asked)).reason) == (S.QUEUED, before.reason)

    async def test_a_chat_keeps_its_order_by_itself(self, office: Office) -> None:
        _, receipt = await self.acknowledged(office, chat("help me please"))
        await office.database.write(lambda c: deliveries.copy_in(c, [receipt], T1))
        await office.answer(await office.claim())
        assert set((await office.states(receipt)).values()) == {D.PENDING}


class TestWithdraw:
    """An agent's mail to the customer, with a copy."""

    async def waiting(self, office: Office) -> Reply:
        asked = await office.accept(email())
        await office.push(office.decide(asked))
        (receipt,) = await office.replies(asked)
        made = receipt.model_copy(update={"id": "mine", "acknowledgement": False, "cc": ("bob@example.net",)})
        await office.request(made)
        return made

    @pytest.mark.parametrize("who", [0, 1])
    @pytest.mark.parametrize(
        ("end", "words"),
        [(None, "is being sent"), (D.SENT, "has been sent"), (D.DEFERRED, "was tried before"), (D.UNKNOWN, "may have")],
    )
    async def test_what_one_recipient_may_have_is_withdrawn_from_nobody(
        self, office: Office, who: int, end: DeliveryState | None, words: str
    ) -> None:
        made = await self.waiting(office)
        whose = deliveries.recipients(made)[who]

        def attempt(c: Connection) -> None:
            assert deliveries.begin(c, made.id, whose, owner=OWNER, provider_id=SENT_AS, now=T1)
            if end is not None:
                deliveries.finish(c, office.out, made.id, whose, end, frm=[D.ATTEMPTING], now=T1)

        await office.database.write(attempt)
        before = await office.states(made)
        with pytest.raises(by_hand.TooLate, match=f"the mail to {whose} {words}"):
            await office.withdraw(made)
        assert await office.states(made) == before
        assert sorted(before.values()) == sorted([D.PENDING, end or D.ATTEMPTING])

    async def test_what_is_sent_again_after_an_unknown_outcome_was_withdrawn_though_the_relay_had_it(
        self, office: Office
    ) -> None:
        made = await self.waiting(office)
        await office.sent(made.model_copy(update={"cc": ()}), D.UNKNOWN)
        await office.resolve(made, sent=False)
        assert set((await office.states(made)).values()) == {D.PENDING}
        with pytest.raises(by_hand.TooLate, match="tried before"):
            await office.withdraw(made)
        assert set((await office.states(made)).values()) == {D.PENDING}

    async def test_a_repeat_changes_nothing(self, office: Office) -> None:
        made = await self.waiting(office)
        for _ in range(2):
            await office.withdraw(made)
            assert set((await office.states(made)).values()) == {D.WITHDRAWN}

    async def test_what_comes_by_the_topic_waits_until_its_time(self, office: Office) -> None:
        asked = await office.accept(email())
        await office.push(office.decide(asked))
        (receipt,) = await office.replies(asked)
        until = T1 + timedelta(seconds=10)
        made = receipt.model_copy(update={"id": "mine", "not_before": until})
        past = receipt.model_copy(update={"id": "past", "not_before": T1 - timedelta(1), "conversation_id": "other"})
        await office.request(made, past)

        async def due(at: datetime) -> set[str]:
            found = await office.database.read(lambda c: deliveries.due(c, "email", at, 10))
            return {each.reply.id for each in found} & {"mine", "past"}

        assert await due(T1) == {"past"}
        assert await due(until - timedelta(milliseconds=1)) == {"past"}
        assert await due(until) == {"mine", "past"}


class TestRetry:
    async def deferred(self, office: Office, key: str) -> Reply:
        asked = await office.accept(email(key, sender=f"{key}@example.org"))
        await office.push(office.decide(asked))
        (made,) = await office.replies(asked)
        await office.sent(made, D.DEFERRED)

        def later(c: Connection) -> None:
            c.execute(deliveries_table.update().values(due_at=T1 + timedelta(hours=1)))

        await office.database.write(later)
        return made

    async def due(self, office: Office) -> list[str]:
        return [each.reply.id for each in await office.database.read(lambda c: deliveries.due(c, "email", T1, 10))]

    @pytest.mark.parametrize("which", ["reply", "account", "all"])
    async def test_what_is_deferred_is_due(self, office: Office, which: str) -> None:
        one, two = await self.deferred(office, "m1"), await self.deferred(office, "m2")
        assert await self.due(office) == []
        named: dict[str, dict[str, str]] = {
            "reply": {"reply_id": one.id},
            "account": {"account": one.account},
            "all": {},
        }
        expected = {one.id} if which == "reply" else {one.id, two.id}
        assert await office.database.write(lambda c: by_hand.retry(c, T1, **named[which])) == len(expected)
        assert set(await self.due(office)) == expected

    async def test_of_another_account_nothing_is(self, office: Office) -> None:
        await self.deferred(office, "m1")
        assert await office.database.write(lambda c: by_hand.retry(c, T1, account="other")) == 0

    async def test_what_is_not_deferred_is_refused(self, office: Office) -> None:
        made = await self.deferred(office, "m1")
        await office.sent(made, D.UNKNOWN)
        with pytest.raises(StateConflict, match="is unknown, not deferred"):
            await office.database.write(lambda c: by_hand.retry(c, T1, reply_id=made.id))
        with pytest.raises(NotFound):
            await office.database.write(lambda c: by_hand.retry(c, T1, reply_id="nothing"))


class TestSentOrResend:
    async def unknown(self, office: Office, *more: DeliveryState) -> tuple[Interaction, Reply]:
        """A machine's final answer of unknown outcome."""
        asked = await office.accept(email(subject=OPENING_HOURS, text=OPENING_HOURS))
        await office.push(office.decide(asked))
        (made,) = await office.replies(asked)
        made = made.model_copy(update={"cc": tuple(f"cc{n}@example.net" for n, _ in enumerate(more))})
        await office.sent(made, D.UNKNOWN, *more)
        assert (await office.state(asked), (await office.item(asked)).state) == (S.QUEUED, W.QUEUED)
        return asked, made

    @pytest.mark.parametrize("holder", [None, "ada", "ben"])
    async def test_sent_settles_what_waited_for_the_question_alone(self, office: Office, holder: str | None) -> None:
        asked, made = await self.unknown(office)
        if holder:
            await office.claim(holder)
        await office.resolve(made, sent=True, by="ada")
        assert await office.state(asked) is S.ANSWERED
        theirs = holder == "ben"
        assert (await office.item(asked)).state is (W.ASSIGNED if theirs else W.COMPLETED)

    async def test_sent_leaves_the_item_to_what_else_is_open(self, office: Office) -> None:
        asked, made = await self.unknown(office)
        more = await office.accept(email("m2", references=("m1@example.org",), text="And another thing"))
        await office.push(office.decide(more))
        await office.resolve(made, sent=True)
        assert (await office.state(asked), await office.state(more)) == (S.ANSWERED, S.QUEUED)
        assert (await office.item(asked)).state is W.QUEUED

    async def test_sent_of_one_leaves_the_question_about_another(self, office: Office) -> None:
        asked, made = await self.unknown(office)
        item = await office.claim()
        other = await office.answer(item)
        await office.sent(other, D.UNKNOWN)
        await office.database.write(
            lambda c: desk.release(c, office.out, item_id=item.id, agent="ada", epoch=item.epoch, now=T1)
        )
        await office.resolve(made, sent=True)
        assert (await office.item(asked)).state is W.QUEUED
        await office.resolve(other, sent=True)
        assert (await office.item(asked)).state is W.COMPLETED

    async def test_one_word_settled_all_recipients(self, office: Office) -> None:
        _, made = await self.unknown(office, D.UNKNOWN)
        ann, cc = deliveries.recipients(made)
        with pytest.raises(by_hand.WhichRecipient, match=f"{ann}, {cc}|{cc}, {ann}") as caught:
            await office.resolve(made, sent=True)
        assert (sorted(caught.value.unknown), caught.value.temporary) == (sorted([ann, cc]), False)
        assert set((await office.states(made)).values()) == {D.UNKNOWN}
        assert await office.resolve(made, sent=False, recipient=cc.upper()) == cc
        assert await office.states(made) == {ann: D.UNKNOWN, cc: D.PENDING}
        with pytest.raises(StateConflict, match=f"pending for {cc}"):
            await office.resolve(made, sent=True, recipient=cc)
        with pytest.raises(NotFound, match="does not go to eve"):
            await office.resolve(made, sent=True, recipient="eve@example.net")
        assert await office.resolve(made, sent=True) == ann, "one alone is left: nobody need be named"
        assert await office.states(made) == {ann: D.SENT, cc: D.PENDING}

    async def test_the_item_waits_for_the_word_about_each_recipient(self, office: Office) -> None:
        asked, made = await self.unknown(office, D.UNKNOWN)
        ann, cc = deliveries.recipients(made)
        await office.resolve(made, sent=True, recipient=ann)
        assert (await office.item(asked)).state is W.QUEUED
        await office.resolve(made, sent=True, recipient=cc)
        assert (await office.state(asked), (await office.item(asked)).state) == (S.ANSWERED, W.COMPLETED)

    async def test_sent_does_not_settle_for_a_recipient_who_has_not_got_it(self, office: Office) -> None:
        asked, made = await self.unknown(office, D.FAILED)
        await office.resolve(made, sent=True)
        assert (await office.state(asked), (await office.item(asked)).state) == (S.QUEUED, W.QUEUED)

    async def test_an_answer_to_nothing_new_asks_and_is_settled_too(self, office: Office) -> None:
        asked, first = await self.unknown(office)
        await office.resolve(first, sent=True)
        more = first.model_copy(update={"id": "more", "answers": (), "created_at": NOW})
        await office.sent(more.model_copy(update={"cc": ()}), D.UNKNOWN)
        assert (await office.item(asked)).state is W.QUEUED
        await office.resolve(more, sent=True)
        assert (await office.item(asked)).state is W.COMPLETED

    async def test_an_unknown_outcome_that_is_told_again_after_it_was_settled_opens_nothing(
        self, office: Office
    ) -> None:
        asked, made = await self.unknown(office)
        await office.resolve(made, sent=True, by="ada")
        for event in await office.events():
            await office.push(event)
            assert await office.state(asked) is S.ANSWERED
        assert (await office.item(asked)).state is W.COMPLETED

    async def test_resend_leaves_the_item_as_it_is(self, office: Office) -> None:
        asked, made = await self.unknown(office)
        await office.resolve(made, sent=False)
        assert await office.states(made) == {made.recipient.address: D.PENDING}
        await office.sent(made, D.SENT)
        assert (await office.state(asked), (await office.item(asked)).state) == (S.QUEUED, W.QUEUED)
