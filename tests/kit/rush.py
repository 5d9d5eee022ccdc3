"""The demo's customers all at once, and what has to be true when the last one has gone home."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import aiohttp

from schemas.states import DeliveryState
from store import deliveries, ledger
from store.database import Database
from switchboard.demo.cast import Customer
from switchboard.demo.players import Town, play, write_calls
from switchboard.demo.staff import serve


@contextlib.asynccontextmanager
async def load(
    towns: Sequence[Town], people: Sequence[Customer], token: str, *, desk: str | None = None
) -> AsyncIterator[None]:
    """All the customers at once, each at one of the doors, and one agent."""
    served: Counter[str] = Counter()
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session:

        async def one(customer: Customer) -> None:
            await asyncio.sleep(customer.number * 0.05)
            # Patience is the test's own.
            await play(customer, towns[customer.number % len(towns)], session, patience_s=600.0, stays=True)

        tasks = [asyncio.create_task(one(c)) for c in people]
        tasks.append(asyncio.create_task(serve("ada", desk or towns[0].http, token, served, 1)))
        await write_calls([c for c in people if c.channel == "phone_log"], towns[0])
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def until(holds: Callable[[], Awaitable[bool]], timeout: float, say: Callable[[], Awaitable[object]]) -> None:
    try:
        async with asyncio.timeout(timeout):
            while not await holds():
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(f"not within {timeout} s: {await say()}") from None


async def written(town: Town, people: Sequence[Customer], share: float, timeout: float = 60.0) -> None:
    """Wait until so many have written."""

    async def enough() -> bool:
        return len(town.written) >= share * len(people)

    async def say() -> object:
        return len(town.written)

    await until(enough, timeout, say)


async def finished(database: Database, town: Town, people: Sequence[Customer], timeout: float = 90.0) -> None:
    """Everybody has written, whoever is due has read, the ledger balances, and nothing is left over."""
    due = {c.number for c in people if c.due and c.channel != "phone_log"}

    async def holds() -> bool:
        states = (await database.read(ledger.balance)).total.states
        left = sum(states.get(s, 0) for s in ("received", "queued", "answering"))
        return len(town.written) == len(people) and due <= set(town.read) and left == 0

    async def say() -> object:
        total = (await database.read(ledger.balance)).total
        rows = await database.read(lambda conn: deliveries.listing(conn, None, 1000))
        unsent = [(r.channel, r.state.value, r.detail) for r in rows if r.state is not DeliveryState.SENT]
        return dict(total.states), len(town.written), sorted(due - set(town.read)), unsent

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
