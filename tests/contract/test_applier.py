"""What decisions, deliveries and dead letters do to the store, on every database."""

from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.engine import Connection

from bus.records import Batch, Record
from bus.topics import DECISIONS, NOTIFICATIONS, partition_for
from router.applier.applier import Applier
from router.core.triage import decide_safely
from router.policies import PolicyBook
from rules.policy import Policy
from runtime.metrics import Metrics
from schemas import ids
from schemas.codec import encode
from schemas.decision import Decision, Facts
from schemas.delivery import Delivery
from schemas.events import Event
from schemas.fast import as_model
from schemas.interaction import Interaction
from schemas.states import DeliveryState, InteractionState, WorkItemState
from store import (
    by_hand,
    dead_letters,
    decisions,
    deliveries,
    desk,
    holds,
    ledger,
    outbox,
    policies,
    replies,
    work_items,
)
from store.blobs import Blobs
from store.database import Database
from store.intake import Intake
from store.outbox import Outbox
from store.tables import outbox as outbox_table
from store.tables import work_items as work_items_table
from tests.kit.clock import ManualClock
from tests.kit.contacts import NOW, T1, arrival, call, chat, email
from tests.kit.policies import example_policy, policy

S = InteractionState
OPENING_HOURS = "What are your opening hours?"


class House:
    """Store and applier, with hands to push events through."""

    def __init__(self, database: Database, tmp_path: Path) -> None:
        self.database = database
        self.out = Outbox(lambda key: partition_for(key, 6))
        self.intake = Intake(database, Blobs(tmp_path), self.out)
        self.metrics = Metrics()
        self.applier = Applier(database, self.out, PolicyBook(database), ManualClock(T1), self.metrics)
        self.policy = example_policy()

    async def adopt(self, policy: Policy) -> None:
        self.policy = policy
        await self.database.write(lambda c: policies.activate(c, policy.version, policy.source.to_json(), NOW))

    async def accept(self, contact: object) -> Interaction:
        got = await self.intake.accept(arrival(contact), NOW)  # type: ignore[arg-type]
        return (await self.database.read(lambda c: ledger.load(c, [got.interaction_id])))[got.interaction_id]

    def decide(self, interaction: Interaction, **facts: object) -> Decision:
        return as_model(decide_safely(self.policy, interaction, Facts(**facts), T1))  # type: ignore[arg-type]

    async def push(self, *events: Event) -> None:
        records = [
            Record(DECISIONS, 0, n, e.key.encode(), e.value, e.headers, 0)
            for n, e in enumerate(encode(event) for event in events)
        ]
        await self.applier.handle(Batch({(DECISIONS, 0): tuple(records)}))

    async def notifications(self) -> list[str]:
        """The ids of all that was raised."""
        query = select(outbox_table.c.event_id).where(outbox_table.c.topic == NOTIFICATIONS)
        return sorted(await self.database.read(lambda c: list(c.scalars(query))))

    async def state(self, interaction: Interaction) -> InteractionState:
        return (await self.database.read(lambda c: ledger.standings(c, [interaction.id])))[interaction.id].state

    async def items(self, interaction: Interaction) -> list[work_items.WorkItem]:
        return await self.database.read(lambda c: work_items.of_conversation(c, interaction.conversation_id))

    async def replies(self, interaction: Interaction) -> list[replies.Reply]:
        return await self.database.read(lambda c: replies.of_conversation(c, interaction.conversation_id))


@pytest.fixture
async def house(database: Database, tmp_path: Path) -> House:
    house = House(database, tmp_path)
    await house.adopt(example_policy())
    return house


def delivery(reply: replies.Reply, state: DeliveryState, change: int = 1) -> Delivery:
    return Delivery(
        id=ids.delivery_id(reply.id, change),
        reply_id=reply.id,
        conversation_id=reply.conversation_id,
        channel=reply.channel,
        account=reply.account,
        recipient=reply.recipient.address,
        state=state,
        attempt=1,
        change=change,
        at=T1,
        acknowledgement=reply.acknowledgement,
        answers=reply.answers,
    )


async def test_a_final_answer_is_given_once_and_sent_answers_the_interaction(house: House) -> None:
    interaction = await house.accept(email(subject=OPENING_HOURS, text=OPENING_HOURS))
    decision = house.decide(interaction)
    assert decision.outcome == "answer"
    await house.push(decision, decision)
    await house.push(decision)
    (reply,) = await house.replies(interaction)
    assert reply.automatic
    assert not reply.acknowledgement
    assert reply.thread.in_reply_to == "m1@example.org"
    assert await house.state(interaction) is S.ANSWERING
    await house.push(delivery(reply, DeliveryState.SENT))
    assert await house.state(interaction) is S.ANSWERED
    assert await house.items(interaction) == []


async def test_the_first_decision_of_a_round_wins(house: House) -> None:
    interaction = await house.accept(chat("something only a human can answer"))
    first = house.decide(interaction)
    other = first.model_copy(update={"outcome": "close", "close": "spam"})
    await house.push(first)
    await house.push(other)
    assert await house.state(interaction) is S.QUEUED
    kept = await house.database.read(lambda c: decisions.of_interaction(c, interaction.id))
    assert [d.outcome for d, _ in kept] == [first.outcome]


async def test_an_acknowledged_interaction_stays_queued_whatever_becomes_of_the_acknowledgement(house: House) -> None:
    interaction = await house.accept(email())
    decision = house.decide(interaction)
    assert decision.outcome == "queue"
    assert decision.answer is not None
    await house.push(decision)
    (reply,) = await house.replies(interaction)
    assert reply.acknowledgement
    (item,) = await house.items(interaction)
    for change, state in enumerate((DeliveryState.SENT, DeliveryState.FAILED), start=1):
        await house.push(delivery(reply, state, change))
        assert await house.state(interaction) is S.QUEUED
    (again,) = await house.items(interaction)
    assert again.id == item.id
    assert "delivery failed" in again.reason


@pytest.mark.parametrize("state", [DeliveryState.FAILED, DeliveryState.UNKNOWN, DeliveryState.WITHDRAWN])
async def test_an_answer_that_did_not_arrive_goes_back_to_a_human(house: House, state: DeliveryState) -> None:
    interaction = await house.accept(email(subject=OPENING_HOURS, text=OPENING_HOURS))
    await house.push(house.decide(interaction))
    (reply,) = await house.replies(interaction)
    await house.push(delivery(reply, state))
    assert await house.state(interaction) is S.QUEUED
    (item,) = await house.items(interaction)
    assert item.reason.startswith(f"delivery {state}")
    await house.push(delivery(reply, state))
    assert len(await house.items(interaction)) == 1


async def test_a_bounce_that_comes_later_reopens(house: House) -> None:
    interaction = await house.accept(email(subject=OPENING_HOURS, text=OPENING_HOURS))
    await house.push(house.decide(interaction))
    (reply,) = await house.replies(interaction)
    await house.push(delivery(reply, DeliveryState.SENT))
    await house.push(delivery(reply, DeliveryState.FAILED, 2))
    for state in ("sent", "failed"):
        counted = f'switchboard_deliveries_reported_total{{channel="email",state="{state}"}} 1.0'
        assert counted in house.metrics.render().decode()
    assert await house.state(interaction) is S.QUEUED
    assert len(await house.items(interaction)) == 1


async def test_a_second_answer_by_the_same_rule_is_refused_and_queued_with_the_reason(house: House) -> None:
    first = house.decide(await house.accept(chat(OPENING_HOURS, n=1)))
    await house.push(first)
    interaction = await house.accept(chat(OPENING_HOURS, n=2))
    # The rule answers first contacts only: pretend that it does not.
    again = {"outcome": "answer", "answer": first.answer, "queue": None}
    await house.push(house.decide(interaction).model_copy(update=again))
    assert await house.state(interaction) is S.QUEUED
    (item,) = await house.items(interaction)
    assert "has answered in this conversation before" in item.reason
    assert len(await house.replies(interaction)) == 1


async def test_an_unverified_address_is_answered_once_a_day(house: House) -> None:
    one = await house.accept(email("a@x", subject=OPENING_HOURS, text=OPENING_HOURS))
    two = await house.accept(email("b@x", subject=OPENING_HOURS, text=OPENING_HOURS + "!"))
    await house.push(house.decide(one))
    await house.push(house.decide(two))
    assert await house.state(one) is S.ANSWERING
    assert await house.state(two) is S.QUEUED
    (item,) = await house.items(two)
    assert "once in 24 h" in item.reason


async def test_automatic_mail_is_closed_and_never_answered(house: House) -> None:
    interaction = await house.accept(email(subject=OPENING_HOURS, text=OPENING_HOURS, automatic="Auto-Submitted"))
    await house.push(house.decide(interaction))
    assert await house.state(interaction) is S.CLOSED
    assert await house.replies(interaction) == []


async def test_a_later_message_joins_the_open_work_item_and_makes_it_more_urgent(house: House) -> None:
    one = await house.accept(chat("hello, I have a question about invoice 7", n=1))
    await house.push(house.decide(one))
    (before,) = await house.items(one)
    two = await house.accept(chat("this is urgent", n=2))
    urgent = house.decide(two).model_copy(update={"tier": "P1", "deadline": before.deadline - timedelta(seconds=30)})
    await house.push(urgent)
    (after,) = await house.items(one)
    assert (after.id, after.tier, after.deadline) == (before.id, "P1", before.deadline - timedelta(seconds=30))
    assert after.enqueued_at == before.enqueued_at


async def test_a_policy_that_nobody_published_makes_a_dead_letter_and_not_a_standstill(house: House) -> None:
    interaction = await house.accept(chat("hello"))
    stray = house.decide(interaction).model_copy(update={"policy_version": "p-nobody"})
    other = await house.accept(call())
    await house.push(stray, house.decide(other))
    assert await house.state(other) is S.QUEUED
    assert len(await house.database.read(lambda c: dead_letters.listing(c, "open", 10))) == 1
    await house.push(house.decide(interaction))
    assert await house.state(interaction) is S.QUEUED


class TestReleases:
    """What a person has released stays released, whatever becomes of the item next."""

    async def released(self, house: House, interaction: Interaction) -> Interaction:
        await house.database.write(lambda c: holds.release(c, house.out, interaction.id, actor="cli", now=T1))
        return await self.as_it_is(house, interaction)

    async def as_it_is(self, house: House, interaction: Interaction) -> Interaction:
        return (await house.database.read(lambda c: ledger.load(c, [interaction.id])))[interaction.id]

    async def test_an_item_that_two_rules_hold_is_released_from_one_after_the_other(self, house: House) -> None:
        mail = email(subject="casino bonus", text="change my password")
        sender = mail.sender.model_copy(update={"verdict": "failed"})
        interaction = await house.accept(mail.model_copy(update={"sender": sender}))
        for holders in (("spam",), ("spam", "unproved-account")):
            await house.push(house.decide(interaction))
            assert await house.state(interaction) is S.HELD
            interaction = await self.released(house, interaction)
            assert interaction.released == holders
        await house.push(house.decide(interaction))
        assert await house.state(interaction) is S.QUEUED

    async def test_a_decision_of_a_round_that_is_over_takes_no_effect(self, house: House) -> None:
        """It comes again (at least once), or late, while the next one is being made."""
        interaction = await house.accept(email(subject="casino bonus"))
        first = house.decide(interaction)
        await house.push(first)
        interaction = await self.released(house, interaction)
        for late in (first, first.model_copy(update={"outcome": "close", "close": "spam"})):
            await house.push(late)
            assert await house.state(interaction) is S.RECEIVED
        await house.push(house.decide(interaction))
        assert await house.state(interaction) is S.QUEUED
        kept = await house.database.read(lambda c: decisions.of_interaction(c, interaction.id))
        assert [(d.round, d.outcome) for d, _ in kept] == [(1, "hold"), (2, "queue")]

    async def test_whoever_was_told_is_not_told_again(self, house: House) -> None:
        interaction = await house.accept(email(subject="casino bonus"))
        for names in (("lead", "ops"), ("ops", "night")):
            await house.push(house.decide(interaction).model_copy(update={"notify": names}))
            interaction = await self.released(house, interaction) if interaction.round == 1 else interaction
        assert await house.notifications() == [f"{interaction.id}:notify:{name}" for name in ("lead", "night", "ops")]

    async def test_a_person_who_sets_it_aside_takes_no_release_back(self, house: House) -> None:
        interaction = await house.accept(email(subject="casino bonus"))
        await house.push(house.decide(interaction))
        interaction = await self.released(house, interaction)
        await house.push(house.decide(interaction))
        item = await TestDesk().claim(house)
        await house.database.write(
            lambda c: holds.hold(c, house.out, item_id=item.id, agent="ada", epoch=item.epoch, reason="odd", now=T1)
        )
        assert await house.state(interaction) is S.HELD
        interaction = await self.released(house, interaction)
        await house.push(house.decide(interaction))
        assert await house.state(interaction) is S.QUEUED

    async def test_neither_does_a_replay(self, house: House) -> None:
        interaction = await house.accept(email(subject="casino bonus"))
        await house.push(house.decide(interaction))
        interaction = await self.released(house, interaction)
        dead = S.DEAD_LETTER
        await house.database.write(
            lambda c: ledger.move(c, [interaction.id], dead, frm=[S.RECEIVED], actor="test", at=T1)
        )
        await house.database.write(
            lambda c: holds.decide_again(c, house.out, interaction.id, dead, actor="cli", now=T1)
        )
        await house.push(house.decide(await self.as_it_is(house, interaction)))
        assert await house.state(interaction) is S.QUEUED


class TestDesk:
    async def queued(self, house: House, *contacts: object) -> list[Interaction]:
        accepted = [await house.accept(c) for c in contacts]
        await house.push(*(house.decide(i) for i in accepted))
        return accepted

    async def claim(self, house: House, agent: str = "ada") -> work_items.WorkItem:
        item = await house.database.write(
            lambda c: work_items.claim(c, house.out, agent, queues=(), now=T1, until=T1 + timedelta(minutes=5))
        )
        assert item is not None
        return item

    async def test_an_answer_makes_the_queued_interactions_answering_and_completes(self, house: House) -> None:
        (interaction,) = await self.queued(house, chat("please help me with my contract"))
        item = await self.claim(house)
        done, reply = await house.database.write(
            lambda c: desk.complete(
                c,
                house.out,
                item_id=item.id,
                agent="ada",
                epoch=item.epoch,
                answers_through=1,
                now=T1,
                key="k1",
                text="Gladly.",
            )
        )
        assert done.state is WorkItemState.COMPLETED
        assert reply is not None
        assert reply.answers == (interaction.id,)
        assert await house.state(interaction) is S.ANSWERING

    async def test_the_same_key_gives_the_same_reply(self, house: House) -> None:
        (interaction,) = await self.queued(house, chat("please help me with my contract"))
        item = await self.claim(house)

        def answer(c):  # type: ignore[no-untyped-def]
            return desk.reply(
                c,
                house.out,
                item_id=item.id,
                agent="ada",
                epoch=item.epoch,
                key="k1",
                text="Gladly.",
                answers_through=1,
                now=T1,
            )

        one, two = await house.database.write(answer), await house.database.write(answer)
        assert one == two
        agents = [r for r in await house.replies(interaction) if not r.automatic]
        assert len(agents) == 1

    async def test_completing_is_refused_when_the_customer_has_written_meanwhile(self, house: House) -> None:
        (first,) = await self.queued(house, chat("please help me with my contract"))
        item = await self.claim(house)
        newer = await house.accept(chat("one more thing", n=2))
        with pytest.raises(desk.NewerMessages) as refused:
            await house.database.write(
                lambda c: desk.complete(
                    c,
                    house.out,
                    item_id=item.id,
                    agent="ada",
                    epoch=item.epoch,
                    answers_through=1,
                    now=T1,
                    key="k1",
                    text="Gladly.",
                )
            )
        assert [m.id for m in refused.value.messages] == [newer.id]
        assert [r for r in await house.replies(first) if not r.automatic] == [], "nothing was taken"
        assert await house.state(first) is S.QUEUED

    async def test_an_old_epoch_is_refused_after_the_lease_ran_out(self, house: House) -> None:
        await self.queued(house, chat("please help me with my contract"))
        stale = await self.claim(house, "ada")
        expired = await house.database.write(
            lambda c: work_items.expire_leases(c, house.out, T1 + timedelta(minutes=6))
        )
        assert [i.id for i in expired] == [stale.id]
        fresh = await self.claim(house, "bob")
        assert fresh.epoch == stale.epoch + 1
        assert fresh.enqueued_at == stale.enqueued_at
        with pytest.raises(work_items.LeaseLost, match="taken by bob"):
            await house.database.write(
                lambda c: desk.release(c, house.out, item_id=stale.id, agent="ada", epoch=stale.epoch, now=T1)
            )

    async def test_a_call_is_answered_by_calling_back(self, house: House) -> None:
        (interaction,) = await self.queued(house, call())
        item = await self.claim(house)
        with pytest.raises(desk.NoSuchAnswer):
            await house.database.write(
                lambda c: desk.reply(
                    c,
                    house.out,
                    item_id=item.id,
                    agent="ada",
                    epoch=item.epoch,
                    key="k",
                    text="x",
                    answers_through=1,
                    now=T1,
                )
            )
        await house.database.write(
            lambda c: desk.complete(
                c, house.out, item_id=item.id, agent="ada", epoch=item.epoch, answers_through=1, now=T1
            )
        )
        assert await house.state(interaction) is S.ANSWERED

    async def test_p1_first_then_the_earliest_deadline(self, house: House) -> None:
        interactions = [await house.accept(chat("I need some help with this", session=f"s{n}")) for n in range(4)]
        made = [house.decide(i) for i in interactions]
        tiers = ["P3", "P1", "P3", "P2"]
        hours = [5, 9, 1, 3]
        await house.push(
            *(
                d.model_copy(update={"tier": tier, "deadline": NOW + timedelta(hours=h)})
                for d, tier, h in zip(made, tiers, hours, strict=True)
            )
        )
        waiting = await house.database.read(lambda c: work_items.line(c, (), 10))
        assert [i.conversation_id for i in waiting] == [interactions[n].conversation_id for n in (1, 2, 3, 0)]

    async def test_two_agents_never_get_the_same_item(self, house: House) -> None:
        import asyncio

        await self.queued(house, *(chat("help me please", session=f"s{n}") for n in range(10)))
        got = await asyncio.gather(*(self.claim(house, f"agent{n}") for n in range(10)))
        assert len({item.id for item in got}) == 10


class TestDeliveryLedger:
    async def reply(self, house: House) -> replies.Reply:
        interaction = await house.accept(email(subject=OPENING_HOURS, text=OPENING_HOURS))
        await house.push(house.decide(interaction))
        (reply,) = await house.replies(interaction)
        return reply

    async def arrive(self, db: Database, *owners: str) -> None:
        for owner in owners:
            await db.write(lambda c, o=owner: deliveries.arrive(c, o, T1, T1 + timedelta(seconds=15)))

    async def test_a_reply_is_copied_in_once_and_sent_once(self, house: House) -> None:
        reply, db, out = await self.reply(house), house.database, house.out
        for _ in range(2):
            await db.write(lambda c: deliveries.copy_in(c, [reply], T1))
        (due,) = await db.read(lambda c: deliveries.due(c, "email", T1, 10))
        assert due.reply == reply
        to = reply.recipient.address

        def begin(owner: str):  # type: ignore[no-untyped-def]
            return db.write(lambda c: deliveries.begin(c, reply.id, to, owner=owner, provider_id="x@shop", now=T1))

        await self.arrive(db, "one", "two")
        assert await begin("one")
        assert not await begin("two")
        finish = lambda c: deliveries.finish(  # noqa: E731
            c, out, reply.id, to, DeliveryState.SENT, frm=[DeliveryState.ATTEMPTING], now=T1, owner="one"
        )
        assert await db.write(finish)
        assert not await db.write(finish)
        pending = await db.read(lambda c: outbox.pending(c, range(6), "b", 50))
        assert [r.topic for r in pending if r.topic == "deliveries"] == ["deliveries"]
        assert not [r for r in pending if r.topic == "replies"], "its ledger row is its effect"

    async def test_an_attempt_whose_owner_is_gone_is_unknown_and_never_made_again(self, house: House) -> None:
        reply, db, out = await self.reply(house), house.database, house.out
        to = reply.recipient.address
        await db.write(lambda c: deliveries.copy_in(c, [reply], T1))
        await self.arrive(db, "dead", "me")
        await db.write(lambda c: deliveries.begin(c, reply.id, to, owner="dead", provider_id="x@shop", now=T1))
        assert await db.write(lambda c: deliveries.orphaned(c, out, "me", T1)) == 0, "it may still be at it"
        later = T1 + timedelta(seconds=15)
        assert await db.write(lambda c: deliveries.stay(c, "me", later + timedelta(seconds=15)))
        assert await db.write(lambda c: deliveries.orphaned(c, out, "me", later)) == 1
        assert await db.read(lambda c: deliveries.due(c, "email", T1 + timedelta(days=9), 10)) == []
        await db.write(lambda c: by_hand.resolve(c, out, reply.id, sent=False, now=T1))
        assert len(await db.read(lambda c: deliveries.due(c, "email", T1, 10))) == 1

    async def test_a_sender_that_was_taken_for_gone_writes_no_outcome_and_begins_nothing(self, house: House) -> None:
        reply, db, out = await self.reply(house), house.database, house.out
        to = reply.recipient.address
        await db.write(lambda c: deliveries.copy_in(c, [reply], T1))
        await self.arrive(db, "paused", "me")

        def begin(owner: str):  # type: ignore[no-untyped-def]
            return db.write(lambda c: deliveries.begin(c, reply.id, to, owner=owner, provider_id="x@shop", now=T1))

        def finish(owner: str, to_state: DeliveryState):  # type: ignore[no-untyped-def]
            return db.write(
                lambda c: deliveries.finish(
                    c, out, reply.id, to, to_state, frm=[DeliveryState.ATTEMPTING], now=T1, owner=owner
                )
            )

        assert await begin("paused")
        later = T1 + timedelta(minutes=1)
        await db.write(lambda c: deliveries.stay(c, "me", later + timedelta(seconds=15)))
        assert await db.write(lambda c: deliveries.orphaned(c, out, "me", later)) == 1
        assert not await db.write(lambda c: deliveries.stay(c, "paused", later + timedelta(seconds=15)))
        assert not await finish("paused", DeliveryState.SENT)
        await db.write(lambda c: by_hand.resolve(c, out, reply.id, sent=False, now=later))
        assert not await begin("paused")
        assert await begin("me")
        assert not await finish("paused", DeliveryState.DEFERRED)
        assert await finish("me", DeliveryState.SENT)

    async def test_the_only_process_takes_every_other_owner_for_gone_at_once(self, house: House) -> None:
        reply, db = await self.reply(house), house.database
        await db.write(lambda c: deliveries.copy_in(c, [reply], T1))
        await self.arrive(db, "killed", "me")
        to = reply.recipient.address
        await db.write(lambda c: deliveries.begin(c, reply.id, to, owner="killed", provider_id="x@shop", now=T1))
        assert await db.write(lambda c: deliveries.orphaned(c, house.out, "me", T1, alone=True)) == 1
        assert await db.write(lambda c: deliveries.stay(c, "me", T1))

    async def test_a_reply_waits_for_the_one_before_it(self, house: House) -> None:
        reply, db = await self.reply(house), house.database
        later = reply.model_copy(update={"id": "later", "created_at": T1 + timedelta(seconds=1)})
        await db.write(lambda c: replies.request(c, house.out, [later]))
        await db.write(lambda c: deliveries.copy_in(c, [later, reply], T1))
        assert [d.reply.id for d in await db.read(lambda c: deliveries.due(c, "email", T1, 10))] == [reply.id]

    async def test_an_answer_to_our_own_mail_finds_the_conversation(self, house: House) -> None:
        reply, db = await self.reply(house), house.database
        to = reply.recipient.address
        await db.write(lambda c: deliveries.copy_in(c, [reply], T1))
        await self.arrive(db, "me")
        await db.write(lambda c: deliveries.begin(c, reply.id, to, owner="me", provider_id="ours@shop", now=T1))
        answer = await house.accept(email("m9@example.org", references=("ours@shop",)))
        assert answer.conversation_id == reply.conversation_id
        assert answer.seq == 2


async def test_notify_and_webhook_are_events_with_one_id_each(house: House) -> None:
    interaction = await house.accept(chat("Hello"))
    decision = house.decide(interaction).model_copy(update={"notify": ("lead", "ops"), "webhook": ("crm",)})
    await house.push(decision, decision)
    await house.push(decision)
    assert await house.notifications() == [
        f"{interaction.id}:notify:lead",
        f"{interaction.id}:notify:ops",
        f"{interaction.id}:webhook:crm",
    ]


AFFINITY = "- {name: same-agent, when: {last_agent: {exists: true}}, affinity: true, queue: general}"


async def test_work_is_kept_for_the_agent_of_before_for_a_while(house: House) -> None:
    await house.adopt(policy(AFFINITY))
    kept, other = await house.accept(email()), await house.accept(chat())
    await house.push(house.decide(kept, last_agent="ada"), house.decide(other))
    (item,) = await house.items(kept)
    (chat_item,) = await house.items(other)
    assert chat_item.deadline < item.deadline

    async def taken(agent: str, now: datetime = T1, item_id: str | None = None) -> str | None:
        """Who would get what; nothing stays changed."""
        found: list[str | None] = []

        def work(conn: Connection) -> None:
            got = work_items.claim(
                conn, house.out, agent, queues=(), now=now, until=now + timedelta(minutes=5), item_id=item_id
            )
            found.append(got.id if got else None)
            raise LookupError

        with suppress(LookupError):
            await house.database.write(work)
        return found[-1]

    assert await taken("ada") == item.id, "before what is due earlier"
    assert await taken("bob") == chat_item.id
    await house.database.write(
        lambda conn: work_items.claim(conn, house.out, "bob", queues=(), now=T1, until=T1 + timedelta(hours=1))
    )
    assert await taken("bob") is None, "kept for ada"
    assert await taken("bob", item_id=item.id) == item.id, "who asks for it by name gets it"
    assert await taken("bob", now=T1 + timedelta(minutes=5)) == item.id, "ada has had her time"


async def test_affinity_never_takes_more_than_a_quarter_of_the_time_that_is_left(house: House) -> None:
    short = dict.fromkeys(("P1", "P2", "P3", "P4"), "4m")
    await house.adopt(policy(AFFINITY, priority={"targets": {"chat": short}}))
    interaction = await house.accept(chat())
    decision = house.decide(interaction, last_agent="ada")
    await house.push(decision)
    row = await house.database.read(lambda conn: conn.execute(select(work_items_table)).one())
    assert row.kept_for == "ada"
    assert row.kept_until == T1 + max(decision.deadline - T1, timedelta()) / 4
