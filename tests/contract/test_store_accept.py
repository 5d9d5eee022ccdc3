"""accept() and the ledger, on every database."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from schemas.errors import NotFound
from schemas.states import InteractionState
from store import dead_letters, leases, ledger, outbox, policies
from store.blobs import Blobs
from store.database import Database
from store.intake import Acceptance, Intake, payload
from store.outbox import Outbox
from store.tables import acceptances, conversations, customers
from store.tables import outbox as outbox_table
from tests.kit.contacts import NOW, arrival, call, chat, email, web_form


def shard_of(key: str) -> int:
    return sum(key.encode()) % 6


@pytest.fixture
async def intake(database: Database, tmp_path: Path) -> Intake:
    await database.write(lambda c: policies.activate(c, "p-1", b"{}", NOW))
    return Intake(database, Blobs(tmp_path / "blobs"), Outbox(shard_of))


async def accept(intake: Intake, *contacts: object) -> list[Acceptance]:
    return [await intake.accept(arrival(c), NOW) for c in contacts]  # type: ignore[arg-type]


async def test_an_accepted_contact_is_in_the_ledger_and_in_the_outbox(database: Database, intake: Intake) -> None:
    (got,) = await accept(intake, email())
    balance = await database.read(ledger.balance)
    assert balance.balanced
    assert balance.total.accepted == 1
    assert balance.total.states == {"received": 1}
    rows = await database.read(lambda c: outbox.pending(c, range(6), "b1", 10))
    assert [(r.topic, r.key, r.position, r.event_id) for r in rows] == [
        ("interactions", got.conversation_id, 1, got.interaction_id)
    ]
    assert got.reference == "SB-1001"
    assert got.seq == 1


async def test_a_copy_is_counted_and_gets_the_first_answer(database: Database, intake: Intake) -> None:
    first, again = await accept(intake, email(), email())
    assert again.copy
    assert not first.copy
    assert (again.interaction_id, again.reference) == (first.interaction_id, first.reference)
    total = (await database.read(ledger.balance)).total
    assert (total.accepted, total.copies, total.states) == (1, 1, {"received": 1})


async def test_one_mail_in_two_mailboxes_is_one_interaction(intake: Intake, database: Database) -> None:
    first, again = await accept(intake, email(), email(account="sales"))
    assert again.copy
    assert again.interaction_id == first.interaction_id
    paths = await database.read(lambda c: c.scalar(select(acceptances.c.paths)))
    assert paths == ["sales", "support"]


async def test_other_content_under_a_taken_message_id_is_a_new_item(database: Database, intake: Intake) -> None:
    first, other = await accept(intake, email(), email(text="Something else entirely"))
    assert not other.copy
    assert other.interaction_id != first.interaction_id
    found = await database.read(lambda c: ledger.load(c, [other.interaction_id]))
    assert "id_collision" in found[other.interaction_id].flags
    assert (await database.read(ledger.balance)).total.accepted == 2


async def test_racing_copies_are_one(database: Database, intake: Intake) -> None:
    got = await asyncio.gather(*(intake.accept(arrival(email()), NOW) for _ in range(20)))
    assert len({g.interaction_id for g in got}) == 1
    assert sum(not g.copy for g in got) == 1
    total = (await database.read(ledger.balance)).total
    assert (total.accepted, total.copies) == (1, 19)


async def test_seq_is_dense_under_concurrency(intake: Intake) -> None:
    got = await asyncio.gather(*(intake.accept(arrival(chat(f"m{n}", n=n)), NOW) for n in range(1, 31)))
    assert sorted(g.seq for g in got) == list(range(1, 31))
    assert len({g.conversation_id for g in got}) == 1
    assert len({g.reference for g in got}) == 1


async def test_an_answer_to_a_known_mail_joins_its_conversation(intake: Intake) -> None:
    first, answer = await accept(intake, email(), email("m2@example.org", references=("m1@example.org",)))
    assert answer.conversation_id == first.conversation_id
    assert answer.seq == 2


async def test_the_answer_that_overtook_its_question_is_in_the_same_conversation(intake: Intake) -> None:
    answer, first = await accept(intake, email("m2@example.org", references=("m1@example.org",)), email())
    assert answer.conversation_id == first.conversation_id


async def test_a_stranger_with_anothers_message_id_gets_a_conversation_of_their_own(
    database: Database, intake: Intake
) -> None:
    first, stranger = await accept(
        intake,
        email(),
        email("evil@elsewhere.test", sender="mallory@elsewhere.test", references=("m1@example.org",)),
    )
    assert stranger.conversation_id != first.conversation_id
    linked = await database.read(
        lambda c: c.scalar(select(conversations.c.linked_to).where(conversations.c.id == stranger.conversation_id))
    )
    assert linked == first.conversation_id


async def test_a_subject_proves_nothing(intake: Intake) -> None:
    first, other = await accept(intake, email(), email("x@example.org", subject="Re: Where is my parcel? [SB-1001]"))
    assert other.conversation_id != first.conversation_id


async def test_every_channel_is_accepted(database: Database, intake: Intake) -> None:
    await accept(intake, email(), chat(), web_form(), web_form("k2", address=""), call())
    balance = await database.read(ledger.balance)
    assert {line.channel: line.accepted for line in balance.channels} == {
        "chat": 1,
        "email": 1,
        "phone_log": 1,
        "web_form": 2,
    }
    assert await database.read(lambda c: len(c.execute(select(customers)).all())) == 5


async def test_back_fill_is_closed_at_once_and_not_decided(database: Database, intake: Intake) -> None:
    (got,) = await accept(intake, email(archived=True))
    standing = (await database.read(lambda c: ledger.standings(c, [got.interaction_id])))[got.interaction_id]
    assert (standing.state, standing.reason) == (InteractionState.CLOSED, "archived")
    assert await database.read(outbox.backlog) == 0


async def test_raw_bytes_are_kept_in_the_row_or_beside_it(database: Database, intake: Intake, tmp_path: Path) -> None:
    small = await intake.accept(arrival(email(), b"small"), NOW)
    large = await intake.accept(arrival(email("big@example.org"), b"x" * 100_000), NOW)
    assert await database.read(lambda c: payload(c, small.interaction_id)) == ("application/json", b"small", None)
    kept = await database.read(lambda c: payload(c, large.interaction_id))
    assert kept is not None
    assert kept[1] is None
    assert kept[2] is not None
    assert await Blobs(tmp_path / "blobs").get(kept[2]) == b"x" * 100_000


async def test_acked_bytes_without_a_contact_are_accounted_for(database: Database, intake: Intake) -> None:
    one = await intake.set_aside("phone_log", "calls", b"\xff\x00junk", NOW, detail="no UTF-8")
    two = await intake.set_aside("phone_log", "calls", b"\xff\x00junk", NOW, detail="no UTF-8")
    assert one == two
    total = (await database.read(ledger.balance)).total
    assert (total.accepted, total.copies, total.states) == (1, 1, {"dead_letter": 1})
    stored = await database.read(lambda c: dead_letters.get(c, one))
    assert stored is not None
    assert stored.letter.raw == b"\xff\x00junk"
    assert stored.letter.detail == "no UTF-8"


async def test_nothing_is_accepted_without_a_policy(database: Database, tmp_path: Path) -> None:
    intake = Intake(database, Blobs(tmp_path), Outbox(shard_of))
    with pytest.raises(NotFound, match="no policy"):
        await intake.accept(arrival(email()), NOW)
    assert (await database.read(ledger.balance)).total.accepted == 0


async def test_one_failing_unit_does_not_harm_its_neighbours(database: Database, intake: Intake) -> None:
    def fails(_conn: object) -> None:
        raise ValueError("mine alone")

    results = await asyncio.gather(
        intake.accept(arrival(email("a@x")), NOW),
        database.write(fails),
        intake.accept(arrival(email("b@x")), NOW),
        return_exceptions=True,
    )
    assert isinstance(results[1], ValueError)
    assert (await database.read(ledger.balance)).total.accepted == 2


async def test_moves_follow_the_table_of_states(database: Database, intake: Intake) -> None:
    (got,) = await accept(intake, email())
    s = InteractionState

    def move(to: InteractionState, frm: InteractionState):  # type: ignore[no-untyped-def]
        return database.write(lambda c: ledger.move(c, [got.interaction_id], to, frm=[frm], actor="test", at=NOW))

    assert len(await move(s.QUEUED, s.RECEIVED)) == 1
    assert len(await move(s.QUEUED, s.RECEIVED)) == 0, "a second time changes nothing"
    with pytest.raises(ValueError, match="no interaction moves"):
        await move(s.RECEIVED, s.QUEUED)
    assert (await database.read(ledger.balance)).total.states == {"queued": 1}


class TestOutbox:
    async def test_what_a_new_incarnation_forgot_is_pending_again(self, database: Database, intake: Intake) -> None:
        await accept(intake, email())
        held = await database.write(lambda c: leases.acquire(c, ["outbox:0"], "r1", NOW, NOW + timedelta(minutes=1)))
        rows = await database.read(lambda c: outbox.pending(c, range(6), "b1", 10))
        shard = {row.shard: 1 for row in rows}
        await database.write(
            lambda c: leases.acquire(c, [f"outbox:{s}" for s in shard], "r1", NOW, NOW + timedelta(minutes=1))
        )
        assert held == {"outbox:0": 1}
        published = [(rows[0], 0, 7)]
        await database.write(lambda c: outbox.confirm(c, shard, "b1", published, durable=False))
        assert await database.read(lambda c: outbox.pending(c, range(6), "b1", 10)) == []
        again = await database.read(lambda c: outbox.pending(c, range(6), "b2", 10))
        assert [r.event_id for r in again] == [rows[0].event_id]
        await database.write(lambda c: outbox.done(c, [rows[0].event_id]))
        assert await database.read(lambda c: outbox.pending(c, range(6), "b2", 10)) == []

    async def test_a_stale_epoch_confirms_nothing(self, database: Database, intake: Intake) -> None:
        await accept(intake, email())
        (row,) = await database.read(lambda c: outbox.pending(c, range(6), "b1", 10))
        name, later = f"outbox:{row.shard}", NOW + timedelta(minutes=2)
        await database.write(lambda c: leases.acquire(c, [name], "r1", NOW, NOW + timedelta(minutes=1)))
        taken = await database.write(lambda c: leases.acquire(c, [name], "r2", later, later))
        assert taken == {name: 2}
        await database.write(lambda c: outbox.confirm(c, {row.shard: 1}, "b1", [(row, 0, 1)], durable=True))
        assert len(await database.read(lambda c: outbox.pending(c, range(6), "b1", 10))) == 1
        await database.write(lambda c: outbox.confirm(c, {row.shard: 2}, "b1", [(row, 0, 1)], durable=True))
        done = await database.read(lambda c: c.scalar(select(outbox_table.c.incarnation)))
        assert done == "b1"


async def test_the_schema_that_migrations_make_is_the_one_in_the_code(database: Database) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from store.tables import metadata

    diff = await database.read(lambda c: compare_metadata(MigrationContext.configure(c), metadata))
    assert [d for d in diff if not (isinstance(d, list) and "modify_default" in str(d))] == []
