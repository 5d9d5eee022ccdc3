"""What the store tells triage, the dry-run and the rules page, on every database."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from bus.topics import partition_for
from router.applier.apply import apply_decisions
from router.core.triage import decide_safely
from rules.policy import Policy
from schemas.fast import as_model, as_struct
from schemas.interaction import Contact, Interaction
from schemas.structs import Facts
from store import customers, decisions, facts, ledger, policies, recorded, rule_hits, work_items
from store.blobs import Blobs
from store.database import Database
from store.enqueue import Enqueuer
from store.intake import Intake
from store.outbox import Outbox
from store.settings import StoreSettings
from store.sweeper import StoreSweeper
from store.tables import rule_days
from tests.kit.clock import ManualClock
from tests.kit.contacts import NOW, arrival, chat, email
from tests.kit.policies import example_policy, policy


class Site:
    """A store to put things into."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.out = Outbox(lambda key: partition_for(key, 6))
        self.intake = Intake(database, Blobs(folder), self.out)

    async def accept(self, contact: Contact, at: datetime = NOW) -> Interaction:
        got = await self.intake.accept(arrival(contact), at)
        return (await self.database.read(lambda c: ledger.load(c, [got.interaction_id])))[got.interaction_id]

    async def facts(self, interaction: Interaction) -> Facts:
        struct = as_struct(interaction)
        return (await self.database.read(lambda c: facts.facts_of(c, [struct])))[interaction.id]

    async def decide(self, interaction: Interaction, chosen: Policy, at: datetime = NOW) -> None:
        made = as_model(decide_safely(chosen, as_struct(interaction), Facts(), at))
        await self.database.write(lambda c: decisions.add(c, [(made, "")]))

    async def apply(self, interaction: Interaction, chosen: Policy, at: datetime = NOW) -> None:
        made = as_model(decide_safely(chosen, as_struct(interaction), Facts(), at))
        bounds = {made.policy_version: chosen.source.auto_answer}
        await self.database.write(lambda c: apply_decisions(c, self.out, [made], bounds, at))

    async def enqueue(self, interaction: Interaction) -> None:
        def work(conn: object) -> None:
            line = Enqueuer(conn, [interaction.conversation_id], NOW)  # type: ignore[arg-type]
            line.enqueue(interaction, queue="orders", tier="P3", deadline=NOW + timedelta(hours=1))
            line.flush(self.out)

        await self.database.write(work)


@pytest.fixture
async def site(database: Database, tmp_path: Path) -> Site:
    chosen = example_policy()
    await database.write(lambda c: policies.activate(c, chosen.version, chosen.source.to_json(), NOW))
    return Site(database, tmp_path)


async def test_what_is_known_of_a_customer_counts_unless_somebody_poses_as_them(site: Site) -> None:
    known = {"tier": "gold", "segment": "trade", "agreement": "gold", "tags": ["vip"]}
    sender = email().sender
    await site.database.write(lambda c: customers.classify(c, "email", sender.address, NOW, **known))
    found = await site.facts(await site.accept(email("m1@example.org")))
    assert (found.customer_tier, found.customer_segment, found.agreement) == ("gold", "trade", "gold")
    assert found.customer_tags == ("vip",)
    posing = email("m2@example.org").model_copy(update={"sender": sender.model_copy(update={"verdict": "failed"})})
    found = await site.facts(await site.accept(posing))
    assert (found.customer_tier, found.customer_segment, found.agreement) == (None, None, None)
    assert found.customer_tags == ()


async def test_what_is_not_named_stays_as_it_is_known(site: Site) -> None:
    await site.database.write(lambda c: customers.classify(c, "email", "a@example.org", NOW, tier="gold", tags=["vip"]))
    await site.database.write(lambda c: customers.classify(c, "email", "a@example.org", NOW, segment="trade"))
    (found,) = await site.database.read(lambda c: customers.classified(c, 10))
    assert (found.tier, found.segment, found.agreement, found.tags) == ("gold", "trade", None, ("vip",))
    await site.database.write(
        lambda c: customers.classify(c, "email", "a@example.org", NOW, tier=None, segment=None, tags=[])
    )
    assert await site.database.read(lambda c: customers.classified(c, 10)) == []


async def test_the_state_of_a_conversation(site: Site) -> None:
    first = await site.accept(chat())
    assert (await site.facts(first)).conversation_state == "new"
    await site.enqueue(first)
    waiting = await site.facts(first)
    assert (waiting.conversation_state, waiting.open_items) == ("waiting", 1)
    claimed = await site.database.write(
        lambda c: work_items.claim(c, site.out, "ada", queues=(), now=NOW, until=NOW + timedelta(minutes=5))
    )
    assert claimed is not None
    assert (await site.facts(first)).conversation_state == "assigned"
    later = first.model_copy(update={"occasion": "follow_up", "conversation_id": "another"})
    assert (await site.facts(later)).conversation_state == "idle"


async def test_pages_hold_each_decided_interaction_once_with_its_last_decision(site: Site) -> None:
    ids = []
    for number in range(7):
        each = await site.accept(email(f"m{number}@example.org"), NOW + timedelta(seconds=number // 2))
        ids.append(each.id)
        if number != 3:
            await site.decide(each, example_policy())
        if number == 5:
            await site.decide(each.model_copy(update={"round": 2}), example_policy(), NOW + timedelta(hours=1))
    place: recorded.Place | None = (NOW, "")
    found, looked_at, begins = [], 0, []
    while place is not None:
        begins.append(place)
        page = await site.database.read(lambda c, place=place: recorded.page(c, place, 2))  # type: ignore[misc]
        found += [(Interaction.model_validate_json(body).id, made) for body, made in page.recorded]
        looked_at, place = looked_at + page.looked_at, page.end
    assert sorted(key for key, _ in found) == sorted(key for key in ids if key != ids[3])
    assert looked_at == 7
    assert begins == await site.database.read(lambda c: recorded.places(c, NOW, 2))
    assert b'"round":2' in dict(found)[ids[5]]
    assert await site.database.read(lambda c: recorded.count(c, NOW + timedelta(seconds=1))) == 5


async def test_hits_of_rules_and_examples_only_for_those_who_may_see_them(site: Site) -> None:
    rules = "- {name: mail, order: 1, when: {channel: email}, queue: general}\n- {name: all, queue: orders}"
    chosen = policy(rules, queues={"general": {}, "orders": {}})
    mail, talk = await site.accept(email()), await site.accept(chat(), NOW + timedelta(seconds=1))
    for each in (mail, talk):
        await site.apply(each, chosen)
    hits = await site.database.read(lambda c: rule_hits.hits(c, NOW))
    assert (hits.looked_at, dict(hits.by_rule)) == (2, {"mail": 1, "all": 2})
    assert hits.examples == {"mail": [mail.id], "all": [talk.id, mail.id]}
    orders = await site.database.read(lambda c: rule_hits.hits(c, NOW, ["orders"]))
    assert (dict(orders.by_rule), orders.examples) == ({"mail": 1, "all": 2}, {"all": [talk.id]})


async def test_hits_are_counted_by_day_however_many_there_are_and_a_repeat_counts_once(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rule_hits, "NEWEST", 1)
    chosen = policy("- {name: all, tags: a}")
    for number in range(4):
        each = await site.accept(email(f"m{number}@example.org"), NOW)
        for _ in range(2):
            await site.apply(each, chosen, NOW + timedelta(days=number // 2))
    for since, count in ((NOW - timedelta(days=3), 4), (NOW + timedelta(days=1), 2), (NOW + timedelta(days=2), 0)):
        hits = await site.database.read(lambda c, since=since: rule_hits.hits(c, since))  # type: ignore[misc]
        assert (hits.looked_at, hits.by_rule["all"]) == (count, count)
    recent = await site.database.read(lambda c: rule_hits.hits(c, NOW))
    assert len(recent.examples["all"]) == 1


async def test_the_hits_of_old_days_grew_for_ever(site: Site) -> None:
    chosen = policy("- {name: all, tags: a}\n- {name: mail, tags: b}")
    for number in range(3):
        for conversation in range(2):
            each = await site.accept(email(f"m{number}-{conversation}@example.org"), NOW)
            await site.apply(each, chosen, NOW + timedelta(days=number))
    settings = StoreSettings(keep_rule_hits="7d")
    await StoreSweeper(site.database, ManualClock(NOW + timedelta(days=8)), settings).sweep()
    days = await site.database.read(lambda c: set(c.scalars(select(rule_days.c.day))))
    assert days == {"2026-03-05", "2026-03-06"}


async def test_who_writes_all_day_is_counted_up_to_a_bound(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    arrived = [await site.accept(email(f"m{n}@example.org"), NOW + timedelta(hours=n)) for n in range(6)]
    assert (await site.facts(arrived[-1])).contacts_7d == 5
    bounded = facts._CONTACTS.where(facts._latest.c.number <= 3)  # the latest, this very one among them
    monkeypatch.setattr(facts, "_CONTACTS", bounded)
    assert (await site.facts(arrived[-1])).contacts_7d == 2
    assert (await site.facts(arrived[2])).contacts_7d == 2, "what came later takes no place"
