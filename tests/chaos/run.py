"""One chaos run: load, faults while it is on, heal, drain, collect, check."""

import asyncio
import contextlib
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
from sqlalchemy import func, select, update
from sqlalchemy.engine import Connection

from schemas.errors import TemporaryError
from store import agents, outbox
from store.tables import deliveries, interactions, leases
from tests.chaos.agents import Agent
from tests.chaos.players import Carriers, Chatter, FormFiller, Mailer, TelephoneSystem
from tests.chaos.recovery import Recovery, watch
from tests.chaos.schedule import Fault, plan
from tests.chaos.script import Customer, cast
from tests.chaos.site import LEASE_S, Site
from tests.chaos.town import MailServer, Town
from tests.kit.checker import check
from tests.kit.collect import dump, life, read_committed, read_topics
from tests.kit.evidence import Evidence
from tests.kit.facts import Violation
from tests.kit.history import History

ROOMS = {"email": 30, "chat": 120, "web_form": 40}
"""How many customers of a channel are at it at the same time."""
BACKLOG = 150
"""Customers hold back while so many contacts are undecided: faults are to hit a house that is busy, not swamped."""
PARTITIONS = 6
AT_ONCE = 2
"""How many faults may be on at the same time."""
WARM_UP_S = 90.0
SAY_S = 10.0
PATIENCE_S = 90.0
"""A drain in which nothing has moved for so long is over. A consumer that was killed is missed after 30 s only."""
OPEN = ("received", "queued", "answering")
MOVING = ("pending", "attempting", "deferred")


@dataclass(kw_only=True)
class Options:
    seed: int
    interactions: int = 20_000
    faults: int = 200
    agents: int = 6
    rate: float = 25.0
    """Contacts per second that customers begin with, as far as they get rid of them."""
    schedule: Sequence[Fault] | None = None
    """Instead of the seed's own: for tests that need a certain fault."""
    dawdles: float | None = None
    """How many claims are answered after the lease only; None: the few that there are in any run."""
    patience_s: float = PATIENCE_S


@dataclass(kw_only=True)
class Result:
    options: Options
    contacts: int
    seconds: float
    recoveries: list[Recovery] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)
    unknown: int = 0
    """Deliveries that ended with an unknown outcome."""


async def run(options: Options, open_site: Callable[[Path, MailServer], Site], results: Path) -> Result:
    """Everything happens in a scratch folder; `results` gets the history."""
    results.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="switchboard-chaos-"))
    history = History(results / "history.jsonl")
    begun = time.monotonic()
    try:
        async with MailServer(history) as mail:
            site = open_site(folder / "site", mail)
            tokens = {f"agent{n}": agents.new_token() for n in range(options.agents)}
            try:
                await site.start(tokens)
                town = Town(history, site.http, site.desks, site.smtp, site.calls, mail)
                async with site.database:
                    evidence, recoveries = await _Run(options, site, town, tokens).play()
            finally:
                await site.stop()
    finally:
        for log in folder.rglob("*.log"):
            shutil.copy(log, results / log.name)
        history.close()
        shutil.rmtree(folder, ignore_errors=True)
    say("checking")
    return Result(
        options=options,
        contacts=len(evidence.store.interactions),
        seconds=time.monotonic() - begun,
        recoveries=recoveries,
        violations=check(evidence),
        unknown=sum(delivery.state == "unknown" for delivery in evidence.store.deliveries),
    )


class _Run:
    def __init__(self, options: Options, site: Site, town: Town, tokens: dict[str, str]) -> None:
        self.options, self.site, self.town, self.tokens = options, site, town, tokens
        self.people = cast(options.seed, options.interactions)
        self.schedule = options.schedule
        if self.schedule is None:
            self.schedule = plan(options.seed, options.faults, site.targets)
        self.recoveries: list[Recovery] = []
        self.undecided = 0

    async def play(self) -> tuple[Evidence, list[Recovery]]:
        """Whatever fails in it, ends all of it."""
        connector = aiohttp.TCPConnector(limit=0)
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            aiohttp.ClientSession() as desk,
            asyncio.TaskGroup() as group,
        ):
            beside = [group.create_task(work, name=name) for name, work in self._beside(desk)]
            carriers = Carriers(self.town, self.options.seed)
            early = next(c for c in self.people if c.channel == "email")
            await self._warm_up(early, session, carriers)
            async with asyncio.TaskGroup() as load:
                load.create_task(self._faults(), name="faults")
                others = [c for c in self.people if c is not early]
                load.create_task(self._customers(others, session, carriers), name="customers")
            await self._drain(session)
            await self._look_at_pages(session)
            evidence = await self._collect()
            for task in beside:
                task.cancel()
        return evidence, self.recoveries

    def _beside(self, desk: aiohttp.ClientSession) -> Iterator[tuple[str, Coroutine[Any, Any, None]]]:
        """What goes on all the time."""
        for name, token in self.tokens.items():
            agent = Agent(name, token, self.town, desk, seed=self.options.seed, lease_s=LEASE_S)
            if self.options.dawdles is not None:
                agent.dawdles = self.options.dawdles
            yield name, agent.work()
        yield "leases", self._watch_leases()
        yield "mail", self._hurry_mail()
        yield "progress", self._progress()

    # --- load ---

    async def _warm_up(self, customer: Customer, session: aiohttp.ClientSession, carriers: Carriers) -> None:
        """The first contact alone, until it is decided: faults should hit parts that have begun."""
        await _play(customer, self.town, session, carriers)
        async with asyncio.timeout(WARM_UP_S):
            while (await self._read(_left)).get("received"):  # type: ignore[attr-defined]
                await asyncio.sleep(0.1)

    async def _customers(self, people: Sequence[Customer], session: aiohttp.ClientSession, carriers: Carriers) -> None:
        rooms = {channel: asyncio.Semaphore(count) for channel, count in ROOMS.items()}
        rate, begun = self.options.rate, time.monotonic()

        async def one(customer: Customer, at: float) -> None:
            await asyncio.sleep(begun + at - time.monotonic())
            async with rooms[customer.channel]:
                while self.undecided > BACKLOG:
                    await asyncio.sleep(0.5)
                await _play(customer, self.town, session, carriers)

        written, starts = 0, []
        for customer in people:
            starts.append((customer, written / rate))
            written += len(customer.messages)
        callers = [customer for customer in people if customer.channel == "phone_log"]
        calls_a_second = max(1, round(len(callers) * rate / max(1, written)))
        try:
            await asyncio.gather(
                *(one(customer, at) for customer, at in starts if customer.channel != "phone_log"),
                TelephoneSystem(callers, self.town).play(batch=calls_a_second),
            )
        finally:
            carriers.close()
        self.town.written.set()

    # --- faults ---

    async def _faults(self) -> None:
        room = asyncio.Semaphore(AT_ONCE)
        busy: set[str] = set()

        async def one(fault: Fault) -> None:
            try:
                say(f"{fault}")
                await self.site.strike(fault)
                await asyncio.sleep(fault.seconds)
                healed = asyncio.create_task(watch(fault, self.town, self.site.database, self.options.patience_s))
                await self.site.heal(fault)
            finally:
                busy.discard(fault.target)
                room.release()
            self.recoveries.append(await healed)

        async with asyncio.TaskGroup() as group:
            for fault in self.schedule or ():
                while len(self.town.accepted) < fault.at * self.options.interactions or fault.target in busy:
                    await asyncio.sleep(0.05)
                await room.acquire()
                busy.add(fault.target)
                group.create_task(one(fault), name=str(fault))

    # --- beside it ---

    async def _read(self, work: Callable[[Connection], object]) -> object:
        while True:
            try:
                return await self.site.database.read(work)
            except TemporaryError:
                await asyncio.sleep(0.3)

    async def _watch_leases(self) -> None:
        last: dict[str, tuple[int, str]] = {}
        while True:
            rows = await self._read(lambda conn: conn.execute(select(leases)).all())
            for row in rows:  # type: ignore[attr-defined]
                if last.get(row.name) != (row.epoch, row.owner):
                    last[row.name] = (row.epoch, row.owner)
                    self.town.history.note("watch", "lease", "ok", row.name, epoch=row.epoch, owner=row.owner)
            await asyncio.sleep(1.0)

    async def _hurry_mail(self) -> None:
        """Deferred mail is due at once: nobody waits five minutes for the second attempt."""
        while True:
            await asyncio.sleep(2.0)
            now = datetime.now(UTC)
            with contextlib.suppress(TemporaryError):
                await self.site.database.write(
                    lambda conn, now=now: conn.execute(  # type: ignore[misc]
                        update(deliveries)
                        .where(deliveries.c.state == "deferred", deliveries.c.due_at > now)
                        .values(due_at=now)
                    )
                )

    async def _progress(self) -> None:
        said = time.monotonic()
        while True:
            await asyncio.sleep(0.5)
            left = await self._read(_left)
            self.undecided = left.get("received", 0)  # type: ignore[attr-defined]
            if time.monotonic() - said >= SAY_S:
                said = time.monotonic()
                say(f"{len(self.town.accepted)} of {self.options.interactions} accepted, {left}")

    # --- the end ---

    async def _drain(self, session: aiohttp.ClientSession) -> None:
        """Everything healed: until nothing is open any more, or nothing moves."""
        say("draining")
        chatters = {c.name: c for c in self.people if c.channel == "chat"}
        before, moved = None, time.monotonic()
        while time.monotonic() < moved + self.options.patience_s:
            left = await self._read(_left)
            if not any(left.values()):  # type: ignore[attr-defined]
                return
            if left != before:
                before, moved = left, time.monotonic()
            names = await self._read(_waited_for)
            away = [chatters[name] for name in list(names)[:100] if name in chatters]  # type: ignore[call-overload]
            await asyncio.gather(*(Chatter(c, self.town, session).come_back(3.0) for c in away))
            await asyncio.sleep(0.5)

    async def _look_at_pages(self, session: aiohttp.ClientSession) -> None:
        room = asyncio.Semaphore(10)

        async def one(customer: Customer) -> None:
            async with room:
                await FormFiller(customer, self.town, session).look()

        await asyncio.gather(*(one(c) for c in self.people if c.name in self.town.pages))

    async def _collect(self) -> Evidence:
        say("collecting")
        address = await self.site.broker()
        lives = await self.site.database.read(life)
        if lives > 1:
            say(f"the broker is in its life {lives}: it had lost records, or somebody thought so")
        committed = await read_committed(address, PARTITIONS, lives)
        topics = await read_topics(address)
        store = await self.site.database.read(dump)
        return Evidence(history=self.town.history.events, store=store, topics=topics, committed=committed)


async def _play(customer: Customer, town: Town, session: aiohttp.ClientSession, carriers: Carriers) -> None:
    match customer.channel:
        case "email":
            await Mailer(customer, town, session).play(carriers)
        case "chat":
            await Chatter(customer, town, session).play()
        case "web_form":
            await FormFiller(customer, town, session).play()


def _left(conn: Connection) -> dict[str, int]:
    """What is still open."""
    states = {
        state: count
        for state, count in conn.execute(
            select(interactions.c.state, func.count())
            .where(interactions.c.state.in_(OPEN))
            .group_by(interactions.c.state)
        )
    }
    mails = conn.scalar(select(func.count()).select_from(deliveries).where(deliveries.c.state.in_(MOVING))) or 0
    return {**states, "deliveries": mails, "outbox": outbox.backlog(conn)}


def _waited_for(conn: Connection) -> list[str]:
    """Chat customers whose answers have not been shown."""
    rows = conn.execute(
        select(interactions.c.body)
        .join(deliveries, deliveries.c.conversation_id == interactions.c.conversation_id)
        .where(deliveries.c.channel == "chat", deliveries.c.state == "pending")
        .limit(500)
    )
    return sorted({row.body["native_id"].rpartition(":")[2].partition(".")[0] for row in rows})


def say(words: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {words}", file=sys.stderr, flush=True)
