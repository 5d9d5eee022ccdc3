"""Arrivals that are accepted in one transaction get what they would have got one by one."""

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import delete, select, update
from sqlalchemy.engine import Connection

from schemas.errors import NotFound, StoreUnavailable
from schemas.interaction import Contact
from store import ledger, outbox, policies
from store.accepting import Acceptance, Candidate, accept_all
from store.blobs import Blobs
from store.database import Database
from store.intake import Intake
from store.outbox import Outbox
from store.sql import news
from store.tables import conversation_aliases, interactions, metadata
from store.tables import outbox as outbox_table
from store.together import Together
from tests.kit.contacts import NOW, arrival, chat, email, web_form

OUT = Outbox(lambda key: sum(key.encode()) % 6)


def mixed(rng: random.Random, count: int) -> list[Contact]:
    """Few mails, people, sessions and forms, so that copies, answers, collisions and strangers are frequent."""
    made: list[Contact] = []
    for _ in range(count):
        n = rng.randrange(12)
        people = ("ann@example.org", "bob@example.org")
        match rng.randrange(4):
            case 0 | 1:
                known = tuple(f"m{rng.randrange(12)}@example.org" for _ in range(rng.choice([0, 0, 1, 2])))
                text = rng.choice(["Hello", "Hello", "Other words"])
                made.append(email(f"m{n}@example.org", sender=rng.choice(people), references=known, text=text))
            case 2:
                made.append(chat(session=f"s{n % 3}", n=rng.randrange(6)))
            case _:
                made.append(web_form(f"k{n % 4}", text=rng.choice(["Please call", "Please write"])))
    return made


def seen(accepted: Sequence[Acceptance], conn: Connection) -> list[tuple[object, ...]]:
    """What an edge is told and what a router will see; conversations are numbered by the database, which counts what
    was tried as well."""
    bodies = {i.id: i for i in ledger.load(conn, [a.interaction_id for a in accepted]).values()}
    return [
        (a.interaction_id, a.conversation_id, a.seq, a.copy, i.occasion, i.flags, i.customer_id)
        for a in accepted
        for i in [bodies[a.interaction_id]]
    ]


def positions(conn: Connection) -> list[tuple[str, int, str]]:
    rows = outbox.pending(conn, range(6), "b", 1000)
    return sorted((row.key, row.position, row.event_id) for row in rows)


def fresh(conn: Connection) -> None:
    for table in reversed(metadata.sorted_tables):
        conn.execute(delete(table))
    policies.activate(conn, "p-1", b"{}", NOW)
    conn.execute(conversation_aliases.insert().values(id="merged", merged_into="into"))


@pytest.mark.parametrize("seed", range(12))
async def test_together_or_one_by_one_is_the_same(database: Database, seed: int) -> None:
    contacts = mixed(random.Random(seed), 40)

    def work(conn: Connection, size: int) -> tuple[object, object]:
        fresh(conn)
        accepted: list[Acceptance] = []
        for at in range(0, len(contacts), size):
            candidates = [Candidate(arrival(contact), None) for contact in contacts[at : at + size]]
            accepted += accept_all(conn, OUT, candidates, NOW, reference="SB-{number}")
        assert ledger.balance(conn).balanced
        return seen(accepted, conn), positions(conn)

    one_by_one = await database.write(lambda conn: work(conn, 1))
    assert await database.write(lambda conn: work(conn, 7)) == one_by_one
    assert await database.write(lambda conn: work(conn, 40)) == one_by_one


async def test_an_answer_in_the_same_batch_joins_and_a_settled_conversation_is_reopened(database: Database) -> None:
    def work(conn: Connection) -> list[str]:
        policies.activate(conn, "p-1", b"{}", NOW)
        question, answer = email("q@x"), email("a@x", references=("q@x",))
        candidates = [Candidate(arrival(contact), None) for contact in (question, answer)]
        first, second = accept_all(conn, OUT, candidates, NOW, reference="SB-{number}")
        assert first.conversation_id == second.conversation_id
        conn.execute(update(interactions).values(state="closed"))
        more = [email("b@x", references=("q@x",)), email("c@x", references=("q@x",))]
        late = accept_all(conn, OUT, [Candidate(arrival(c), None) for c in more], NOW, reference="SB-{number}")
        found = ledger.load(conn, [a.interaction_id for a in (first, second, *late)])
        return [found[a.interaction_id].occasion for a in (first, second, *late)]

    assert await database.write(work) == ["first", "follow_up", "reopened", "follow_up"]


async def test_who_waits_at_the_same_time_shares_a_transaction(database: Database, tmp_path: Path) -> None:
    await database.write(lambda conn: policies.activate(conn, "p-1", b"{}", NOW))
    intake = Intake(database, Blobs(tmp_path / "blobs"), OUT)
    commits = 0

    def committed() -> None:
        nonlocal commits
        commits += 1

    database.on_commit(committed)
    await asyncio.gather(*(intake.accept(arrival(email(f"m{n}@x")), NOW) for n in range(100)))
    assert len(await database.read(lambda conn: conn.scalars(select(interactions.c.id)).all())) == 100
    assert commits <= 5


async def test_who_waits_for_one_thing_is_not_woken_by_another(database: Database) -> None:
    """Each commit woke the relay, every sender and the chat, and all of them looked."""
    heard: list[str] = []
    for what in ("outbox", "deliveries"):
        database.on_commit(lambda what=what: heard.append(what), what)  # type: ignore[arg-type, misc]
    database.on_commit(lambda: heard.append("any"))

    def fails(conn: Connection) -> None:
        news(conn, "outbox")
        raise ValueError("after all")

    with pytest.raises(ValueError, match="after all"):
        await database.write(fails)
    await database.write(lambda conn: None)
    assert heard == ["any"], "what came to nothing is no news"
    await database.write(lambda conn: news(conn, "deliveries"))
    assert heard == ["any", "deliveries", "any"]


async def test_without_a_policy_each_is_refused(database: Database, tmp_path: Path) -> None:
    intake = Intake(database, Blobs(tmp_path / "blobs"), OUT)
    found = await asyncio.gather(
        *(intake.accept(arrival(email(f"m{n}@x")), NOW) for n in range(5)), return_exceptions=True
    )
    assert all(isinstance(error, NotFound) for error in found)


class TestTogether:
    async def test_one_that_fails_does_not_harm_its_neighbours(self) -> None:
        async def do(items: Sequence[int]) -> list[int]:
            if 3 in items:
                raise ValueError("three")
            return [item * 10 for item in items]

        together = Together("test", do, most=4)
        found = await asyncio.gather(*(together.add(n) for n in range(6)), return_exceptions=True)
        assert [n if isinstance(n, int) else str(n) for n in found] == [0, 10, 20, "three", 40, 50]

    async def test_a_store_that_is_away_is_not_asked_for_each(self) -> None:
        asked: list[int] = []

        async def do(items: Sequence[int]) -> list[int]:
            asked.append(len(items))
            raise StoreUnavailable("away")

        together = Together("test", do, most=10)
        found = await asyncio.gather(*(together.add(n) for n in range(5)), return_exceptions=True)
        assert all(isinstance(error, StoreUnavailable) for error in found)
        assert asked == [5]

    async def test_one_that_gave_up_waiting_is_left_out_and_the_others_go_on(self) -> None:
        going, done = asyncio.Event(), []

        async def do(items: Sequence[int]) -> list[int]:
            await going.wait()
            done.extend(items)
            return list(items)

        together = Together("test", do, most=1)
        tasks = [asyncio.create_task(together.add(n)) for n in range(3)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        tasks[1].cancel()
        going.set()
        first, given_up, last = await asyncio.gather(*tasks, return_exceptions=True)
        assert (first, last) == (0, 2)
        assert isinstance(given_up, asyncio.CancelledError)
        assert done == [0, 2]


async def test_the_outbox_is_swept_of_what_is_done_but_for_the_last_rows(database: Database) -> None:
    def work(conn: Connection) -> list[list[str]]:
        policies.activate(conn, "p-1", b"{}", NOW)
        candidates = [Candidate(arrival(email(f"m{n}@x", sender=f"a{n}@x")), None) for n in range(10)]
        made = [a.interaction_id for a in accept_all(conn, OUT, candidates, NOW, reference="SB-{number}")]
        outbox.done(conn, [each for n, each in enumerate(made) if n != 3])

        assert outbox.sweep(conn, keep=4, most=2) == 2
        assert outbox.sweep(conn, keep=4) == 3
        assert outbox.sweep(conn, keep=4) == 0
        left = set(conn.scalars(select(outbox_table.c.event_id)))
        return [[each for each in made if each in left], [made[3], *made[6:]]]

    found, wanted = await database.write(work)
    assert found == wanted
