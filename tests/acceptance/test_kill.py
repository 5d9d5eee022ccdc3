"""kill -9 of the whole set-up under load, and of the embedded broker alone: nothing is lost, nobody answered twice."""

import asyncio
import contextlib
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import aiohttp
import pytest

from schemas.states import DeliveryState
from store import agents, deliveries, ledger
from store.database import Database
from store.schema import upgrade
from switchboard.demo.cast import Customer, cast
from switchboard.demo.mail import CustomersMailServer
from switchboard.demo.players import Town, play, write_calls
from switchboard.demo.staff import serve
from switchboard.demo.stage import Stage, set_up
from tests.kit.contacts import NOW
from tests.kit.town import Process, running

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(240)]


@contextlib.asynccontextmanager
async def load(town: Town, people: Sequence[Customer], token: str) -> AsyncIterator[None]:
    """All the customers at once, and one agent."""
    served: Counter[str] = Counter()
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session:

        async def one(customer: Customer) -> None:
            await asyncio.sleep(customer.number * 0.05)
            await play(customer, town, session)

        tasks = [asyncio.create_task(one(c)) for c in people]
        tasks.append(asyncio.create_task(serve("ada", town.http, token, served, 1)))
        await write_calls([c for c in people if c.channel == "phone_log"], town)
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def until(holds, timeout: float, say) -> None:  # type: ignore[no-untyped-def]
    try:
        async with asyncio.timeout(timeout):
            while not await holds():
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(f"not within {timeout} s: {await say()}") from None


async def finished(database: Database, town: Town, people: Sequence[Customer], timeout: float = 90.0) -> None:
    """Everybody has written, whoever is due has read, the ledger balances, and nothing is left over."""
    due = {c.number for c in people if c.due and c.channel != "phone_log"}

    async def holds() -> bool:
        states = (await database.read(ledger.balance)).total.states
        left = sum(states.get(s, 0) for s in ("received", "queued", "answering"))
        return len(town.written) == len(people) and due <= set(town.read) and left == 0

    async def say() -> object:
        total = (await database.read(ledger.balance)).total
        return dict(total.states), len(town.written), sorted(due - set(town.read))

    await until(holds, timeout, say)
    balance = await database.read(ledger.balance)
    assert balance.balanced
    assert balance.total.accepted == len(people)
    assert balance.total.states.get("dead_letter", 0) == 0
    assert town.doubled == []
    for address, mails in town.mail.mailboxes.items():
        counts = Counter(mail["Message-ID"] for mail in mails)
        assert max(counts.values()) == 1, f"{address} got the same mail twice"
        automatic = Counter(mail["Subject"] for mail in mails if mail["Auto-Submitted"])
        assert not automatic or max(automatic.values()) == 1, f"{address} was answered twice by machine"


async def prepared(stage: Stage) -> tuple[Database, str]:
    """A migrated store with an agent."""
    token = agents.new_token()
    folder = stage.folder / "data"
    folder.mkdir(mode=0o700)
    database = Database.at("sqlite:///switchboard.db", folder)
    async with database:
        await upgrade(database)
        await database.write(lambda conn: agents.add(conn, "ada", at=NOW))
        await database.write(lambda conn: agents.add_token(conn, "ada", token, at=NOW))
    return Database.at("sqlite:///switchboard.db", folder, read_only=True), token


async def test_kill_9_of_everything_under_load_loses_nothing_and_answers_nobody_twice(tmp_path: Path) -> None:
    mail = CustomersMailServer()
    await mail.start()
    stage = set_up(port=0, relay_port=mail.port, folder=tmp_path / "site")
    database, token = await prepared(stage)
    town = Town(stage.http, stage.smtp_port, stage.calls, mail)
    people = cast()
    process = Process(stage)
    try:
        async with database:
            await process.start()
            async with load(town, people, token):
                for share in (0.3, 0.9):

                    async def enough(share: float = share) -> bool:
                        return len(town.written) >= share * len(people)

                    async def say() -> object:
                        return len(town.written)

                    await until(enough, 60, say)
                    await process.kill()
                    await process.start()
                await finished(database, town, people)
            unknown = await database.read(lambda conn: deliveries.listing(conn, DeliveryState.UNKNOWN, 100))
            ids = {mail["Message-ID"].strip("<>") for mails in mail.mailboxes.values() for mail in mails}
            # An unknown outcome is unknown: it may have arrived or not, and was not tried again.
            assert all(row.attempt == 1 for row in unknown)
            sent = await database.read(lambda conn: deliveries.listing(conn, DeliveryState.SENT, 1000))
            assert {row.provider_id for row in sent if row.channel == "email"} <= ids
        assert await process.stop() == 0
    finally:
        with contextlib.suppress(AssertionError, ProcessLookupError):
            await process.kill()
        await mail.stop()


async def test_kill_9_of_the_embedded_broker_three_times_loses_nothing_and_answers_nobody_twice(tmp_path: Path) -> None:
    people = cast()
    async with running(tmp_path / "site") as site, load(site.town, people, site.token):
        for share in (0.2, 0.5, 0.9):

            async def enough(share: float = share) -> bool:
                return len(site.town.written) >= share * len(people)

            async def say() -> object:
                return len(site.town.written)

            await until(enough, 60, say)
            pid = site.house.broker.pid  # type: ignore[attr-defined]
            if pid is not None:
                os.kill(pid, signal.SIGKILL)
        await finished(site.database, site.town, people)
