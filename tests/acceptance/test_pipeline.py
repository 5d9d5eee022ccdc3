"""The whole house under one roof: what happens between the rooms."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest

from bus import admin
from bus.kafka import KafkaSink, KafkaSource
from bus.records import Confirmed, Outgoing
from bus.topics import INTERACTIONS, TOPICS
from schemas.codec import encode
from schemas.states import InteractionState
from store import dead_letters, ledger, work_items
from switchboard import QueueConsumer
from switchboard.demo.cast import Customer
from switchboard.demo.players import play
from switchboard.repair import discard, release, replay
from tests.kit.events import examples
from tests.kit.town import ROOT, Running, running

pytestmark = pytest.mark.acceptance
S = InteractionState


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path / "site") as found:
        yield found


async def until(holds: Callable[[], Awaitable[bool]], timeout: float = 30.0) -> None:
    async with asyncio.timeout(timeout):
        while not await holds():
            await asyncio.sleep(0.05)


async def submit(site: Running, text: str, **fields: str) -> str:
    """Through the form; the status address."""
    url, values = f"{site.stage.http}/forms/contact", {"message": text, **fields}
    async with aiohttp.ClientSession() as session, session.post(url, json=values) as response:
        assert response.status == 201
        return str((await response.json())["status_url"])


async def only(site: Running) -> tuple[str, InteractionState]:
    rows = await site.database.read(lambda conn: ledger.by_state(conn, None, 10))
    (row,) = rows
    return row[0].id, row[0].state


async def in_state(site: Running, state: InteractionState) -> str:
    async def holds() -> bool:
        return (await only(site))[1] is state

    await until(holds)
    return (await only(site))[0]


async def test_what_a_rule_held_is_decided_again_without_that_rule_when_it_is_released(site: Running) -> None:
    await submit(site, "Congratulations, you have won! SEO services for you.")
    held = await in_state(site, S.HELD)
    assert await release(site.house.base, held) == 2
    await in_state(site, S.QUEUED)
    balance = await site.database.read(ledger.balance)
    assert balance.balanced
    assert balance.total.accepted == 1


async def test_garbage_on_the_topic_becomes_a_dead_letter_with_its_bytes_and_the_rest_goes_on(site: Running) -> None:
    sink = KafkaSink(site.house.broker.address, embedded=True)
    good = encode(examples()["interaction-email"])
    junk = [Outgoing(INTERACTIONS, "x", b"\xff\x00 junk", good.headers), Outgoing(INTERACTIONS, "x", b"{}", ())]
    assert all(isinstance(o, Confirmed) for o in await sink.write(junk))
    await sink.close()
    await submit(site, "Is somebody there?")
    await in_state(site, S.QUEUED)

    async def both() -> bool:
        return len(await site.database.read(lambda conn: dead_letters.listing(conn, "open", 10))) == 2

    await until(both)
    letters = await site.database.read(lambda conn: dead_letters.listing(conn, "open", 10))
    assert {stored.letter.raw for stored in letters} == {b"\xff\x00 junk", b"{}"}
    assert all(stored.letter.place.topic == INTERACTIONS and stored.letter.detail for stored in letters)
    for stored in letters:
        await discard(site.house.base, stored.letter.id)
    assert (await site.database.read(ledger.balance)).balanced, "what was never accepted is not in the ledger"


async def test_an_interaction_that_became_a_dead_letter_is_replayed(site: Running) -> None:
    await submit(site, "Is somebody there?")
    identity = await in_state(site, S.QUEUED)
    again = await site.database.read(lambda conn: ledger.load(conn, [identity]))
    # As after a decision that could not be published: the router said dead letter instead of a decision.
    letter = examples()["dead_letter"].model_copy(update={"id": identity, "interaction_id": identity, "round": 9})

    def dead(conn):  # type: ignore[no-untyped-def]
        from sqlalchemy import update

        from store.tables import interactions

        conn.execute(update(interactions).values(state="dead_letter"))
        dead_letters.add(conn, letter)

    await site.database.write(dead)
    assert "round 2" in await replay(site.house.base, f"{identity}:round:9")
    await in_state(site, S.QUEUED)
    assert again[identity].round == 1


async def test_a_refused_mail_brings_its_question_back_with_the_servers_words(site: Running) -> None:
    async def refuse(*_: object) -> str:
        return "550 5.7.1 we do not like you"

    site.mail.handle_DATA = refuse  # type: ignore[assignment, method-assign]
    customer = Customer(1, "email", "Ann", "What are your opening hours?", "What are your opening hours?", due=False)
    async with aiohttp.ClientSession() as session:
        await play(customer, site.town, session)
    await in_state(site, S.QUEUED)
    (item,) = await site.database.read(lambda conn: work_items.line(conn, (), 10))
    assert "we do not like you" in item.reason


async def test_an_agent_works_in_a_terminal(site: Running) -> None:
    url = await submit(site, "Is somebody there?", name="Zoë")
    await in_state(site, S.QUEUED)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "switchboard",
        "--config",
        str(site.stage.config),
        "agents",
        "work",
        cwd=ROOT,
        env={**os.environ, "SWITCHBOARD_TOKEN": site.token, "NO_COLOR": "1"},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdin is not None
    process.stdin.write(b"x\nc\nYes, we are here.\n")
    await process.stdin.drain()
    async with aiohttp.ClientSession() as session:

        async def read() -> bool:
            async with session.get(url) as response:
                answers = (await response.json())["answers"]
            return any(answer["text"] == "Yes, we are here." for answer in answers)

        await until(read)
    process.terminate()
    out, _ = await asyncio.wait_for(process.communicate(), 10)
    assert "Zoë" in out.decode()
    assert "there is no such command" in out.decode().lower()
    assert site.token not in out.decode()


async def test_everything_on_the_topics_is_in_the_closed_set_of_events_and_holds_no_secret(site: Running) -> None:
    await submit(site, "Is somebody there?")
    await in_state(site, S.QUEUED)
    async with QueueConsumer(site.stage.http, site.token) as queue:
        item = await queue.next()
        assert item is not None
        await item.complete("Yes.")
    await in_state(site, S.ANSWERED)
    source = KafkaSource(site.house.broker.address, "reader", [t.name for t in TOPICS], embedded=True)
    await source.start()
    seen: dict[str, bytes] = {}
    try:
        async with asyncio.timeout(20):
            while not {"interactions", "decisions", "replies", "deliveries", "work-items"} <= set(seen):
                for record in await source.read(100, 0.2):
                    seen[record.topic] = seen.get(record.topic, b"") + (record.value or b"")
    finally:
        await source.close()
    secret = (site.stage.folder / "data" / "secret.key").read_bytes()
    everything = b"".join(seen.values()) + (site.stage.folder / "data" / "switchboard.db").read_bytes()
    assert site.token.encode() not in everything
    assert secret not in everything


async def test_topics_are_applied_once_and_checked(site: Running) -> None:
    address = site.house.broker.address
    assert await admin.apply(address, TOPICS, 6, 1) == []
    assert await admin.check(address, TOPICS, 6) == []
    assert {f.kind for f in await admin.check(address, TOPICS, 12)} == {"partitions"}
    with pytest.raises(admin.PartitionsDifferError):
        await admin.apply(address, TOPICS, 12, 1)


async def test_readiness_says_which_part_is_missing(site: Running) -> None:
    async with aiohttp.ClientSession() as session:

        async def ready() -> bool:
            async with session.get(f"{site.stage.http}/readyz") as response:
                body = await response.json()
            assert set(body["parts"]) == {"started", "broker", "relay", "router", "applier", "senders"}
            return bool(response.status == 200)

        await until(ready)
        async with session.get(f"{site.stage.http}/metrics") as response:
            assert "switchboard_applied_total" in await response.text()
