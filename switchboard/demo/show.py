"""The show from curtain to verdict. Exit status 0 only if the ledger balances and everybody read their answer."""

import asyncio
import contextlib
import os
import re
import secrets
import signal
import time
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
from rich.console import Console
from rich.live import Live
from sqlalchemy import select
from sqlalchemy.engine import Connection

from bus.brokers import kafka_jars
from runtime.lifecycle import stop_on_signals
from runtime.logs import configure_logs
from runtime.tasks import TaskOwner
from store import agents, customers, ledger
from store.tables import decisions, interactions
from switchboard.demo.cast import Customer, cast
from switchboard.demo.guest import guest_router
from switchboard.demo.mail import CustomersMailServer
from switchboard.demo.plain import PlainProgress
from switchboard.demo.players import Town, play, write_calls
from switchboard.demo.scene import ledger_table, scene, waits_table
from switchboard.demo.staff import serve
from switchboard.demo.stage import Stage, set_up
from switchboard.house import House
from switchboard.settings import Configuration, load

AGENTS = ("ada", "ben")
LIMIT_S = 120.0
CHAOS_AT = (0.25, 0.55)
"""Router and broker are killed when this share of the customers has written, then of the answers been read."""


async def run_demo(
    *, keep: bool, chaos: bool, svg: Path | None, port: int, brokers: str | None = None, verbose: bool = False
) -> int:
    """Returns the exit status. `brokers` as in `kafka.brokers`; by default the embedded one."""
    console = Console(record=svg is not None, width=110 if svg is not None else None)
    mail = CustomersMailServer()
    await mail.start()
    stage = set_up(port=port, relay_port=mail.port, brokers=brokers)
    try:
        configuration = load(stage.config)
        level = "debug" if verbose else "error"
        configure_logs(configuration.settings.log.model_copy(update={"level": level}))
        await _fetch_kafka(console, configuration)
        guest = secrets.token_urlsafe(32)
        house = House(configuration, extra=[guest_router(guest)], demo=True)
        return await _perform(console, house, stage, mail, guest, keep=keep, chaos=chaos, svg=svg)
    finally:
        await mail.stop()
        stage.clear()


async def _fetch_kafka(console: Console, configuration: Configuration) -> None:
    if configuration.settings.kafka.kind != "local":
        return
    with console.status("looking for Apache Kafka …") as status:
        await kafka_jars.program(lambda line: status.update(f"fetching Apache Kafka: {line} …"))


async def _perform(
    console: Console,
    house: House,
    stage: Stage,
    mail: CustomersMailServer,
    guest: str,
    *,
    keep: bool,
    chaos: bool,
    svg: Path | None,
) -> int:
    begun = time.monotonic()
    people = cast()
    due = [c for c in people if c.due and c.channel != "phone_log"]
    town = Town(stage.http, stage.smtp_port, stage.calls, mail)
    served: Counter[str] = Counter()
    news: list[str] = []
    tasks = TaskOwner()
    stop = asyncio.Event()
    with stop_on_signals(stop):
        starting = "starting broker, store, router, channels and desk …"
        plain = None if console.is_terminal else PlainProgress()
        if plain is not None:
            plain.say(starting)
        with console.status(starting):
            await house.lifecycle.start()
        try:
            tokens = await _staff(house, guest, people)
            for seed, (name, token) in enumerate(tokens.items()):
                tasks.spawn(f"agent {name}", serve(name, stage.http, token, served, seed))
            if chaos:
                tasks.spawn("chaos", _chaos(house, town, len(people), len(due), news), forever=False)
            async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session:
                for customer in people:
                    tasks.spawn(f"customer {customer.number}", _play(customer, town, session), forever=False)
                await write_calls([c for c in people if c.channel == "phone_log"], town)
                live = Live(console=console, refresh_per_second=8, transient=True) if plain is None else None
                with live or contextlib.nullcontext():
                    while True:
                        balance = await house.base.database.read(ledger.balance)
                        latest = await house.base.database.read(_latest)
                        if plain is not None:
                            plain.tell(
                                written=len(town.written),
                                total=len(people),
                                read=len(town.read),
                                due=len(due),
                                accepted=balance.total.accepted,
                            )
                        if live is not None:
                            live.update(
                                scene(
                                    balance=balance,
                                    written=len(town.written),
                                    read=len(town.read),
                                    due=len(due),
                                    total=len(people),
                                    served=served,
                                    events=[*latest, *news],
                                )
                            )
                        over = time.monotonic() - begun > LIMIT_S or stop.is_set()
                        if over or _settled(balance, town, due, len(people)):
                            break
                        await asyncio.sleep(0.15)
            status = await _verdict(console, house, town, due, people, served, news, time.monotonic() - begun)
            if keep:
                console.print(f"\nLive page: {stage.http}   chat: {stage.http}/chat/website", end="   ")
                console.print(f"form: {stage.http}/forms/contact")
            else:
                console.print("\nPages: a live one at http://127.0.0.1:8080, while it runs: make demo ARGS=--keep")
            if svg is not None:
                svg.parent.mkdir(parents=True, exist_ok=True)
                drawn = console.export_svg(title="make demo")
                # rich would have the reader's browser fetch a font from elsewhere.
                svg.write_text(re.sub(r"@font-face \{.*?\}", "", drawn, flags=re.DOTALL), encoding="utf-8")
            if keep and not stop.is_set():
                await tasks.cancel_all(5.0)  # the agents go home: whoever watches may answer now
                console.print(f"ready at {stage.http}", highlight=False)
                console.print("Running until Ctrl-C. Write in the chat, and answer at the desk on the live page.")
                await stop.wait()
        finally:
            await tasks.cancel_all(5.0)
            await house.lifecycle.stop()
    return status


async def _play(customer: Customer, town: Town, session: aiohttp.ClientSession) -> None:
    # Spread over a few seconds, so that there is something to see.
    await asyncio.sleep((customer.number * 7 % 60) / 60 * 6.0)
    with contextlib.suppress(TimeoutError):  # the verdict names who has not read an answer
        await play(customer, town, session)


async def _staff(house: House, guest: str, people: list[Customer]) -> dict[str, str]:
    """Agents with tokens, a guest for the live page, and what the company knows of its best customer."""
    tokens = {name: agents.new_token() for name in AGENTS}
    now = house.base.clock.now()
    vip = next(c for c in people if c.kind == "vip")

    def work(conn: Connection) -> None:
        for name, token in [*tokens.items(), ("guest", guest)]:
            agents.add(conn, name, display_name=name.title(), at=now)
            agents.add_token(conn, name, token, label="demo", at=now)
        customers.classify(conn, "email", vip.address, now, tier="gold", name=vip.name)

    await house.base.database.write(work)
    return tokens


async def _chaos(house: House, town: Town, total: int, due: int, news: list[str]) -> None:
    await _until(lambda: len(town.written) >= total * CHAOS_AT[0])
    if house.router is not None and house.router.pid is not None:
        os.kill(house.router.pid, signal.SIGKILL)
        news.append("☠ kill -9: the router")
    await _until(lambda: len(town.read) >= due * CHAOS_AT[0])
    pid = getattr(house.broker, "pid", None)
    if pid is not None:
        os.kill(pid, signal.SIGKILL)
        news.append("☠ kill -9: the broker" + (", with everything in its memory" if house.broker.is_embedded else ""))


async def _until(holds: Any) -> None:
    while not holds():  # noqa: ASYNC110 - looks at the customers' notes, which tell nobody
        await asyncio.sleep(0.05)


def _settled(balance: ledger.Balance, town: Town, due: list[Customer], total: int) -> bool:
    states = balance.total.states
    open_ = sum(states.get(state, 0) for state in ("received", "queued", "answering"))
    return len(town.written) == total and all(c.number in town.read for c in due) and open_ == 0


def _latest(conn: Connection) -> list[str]:
    query = (
        select(decisions.c.body, interactions.c.body.label("interaction"))
        .join(interactions, interactions.c.id == decisions.c.interaction_id)
        .order_by(decisions.c.decided_at.desc())
        .limit(4)
    )
    lines = []
    for decision, interaction in conn.execute(query):
        who = interaction["sender"]["name"] or interaction["sender"]["address"]
        outcome = decision["queue"] or decision["outcome"]
        subject = (interaction["subject"] or interaction["text"])[:40]
        lines.append(
            f"{decision['tier']} {interaction['content']['channel']:<9} {who[:18]:<18} {subject!r} → {outcome}"
        )
    return lines[::-1]


async def _verdict(
    console: Console,
    house: House,
    town: Town,
    due: list[Customer],
    people: list[Customer],
    served: Counter[str],
    news: list[str],
    seconds: float,
) -> int:
    balance = await house.base.database.read(ledger.balance)
    waits, by_rule, by_agent = await house.base.database.read(_figures)
    console.print(ledger_table(balance))
    console.print(waits_table(waits))
    agents_words = ", ".join(f"{name} {count}" for name, count in sorted(served.items()))
    console.print(f"answered automatically: {by_rule}   answered by agents: {by_agent} ({agents_words})")
    for line in news:
        console.print(line, highlight=False)
    missing = [c for c in due if c.number not in town.read]
    total = balance.total
    unfinished = sum(total.states.get(state, 0) for state in ("received", "queued", "answering"))
    problems = [f"{c.name} ({c.channel}) has not read an answer" for c in missing]
    problems += [f"customer {number} read the same answer twice" for number in town.doubled]
    problems += [] if balance.balanced else ["the ledger does not balance"]
    problems += [f"{unfinished} interactions are not finished"] if unfinished else []
    problems += [] if len(town.written) == len(people) else [f"only {len(town.written)} customers could write in"]
    for problem in problems:
        console.print(f"[red]✗[/] {problem}")
    if not problems:
        console.print(
            f"[green]✓[/] {total.accepted} accepted = {sum(total.states.values())} accounted for,"
            f" {total.copies} {'copy' if total.copies == 1 else 'copies'};"
            f" {len(due)} of {len(due)} customers read their answer by their own channel, nobody twice;"
            f" {seconds:.0f} s."
        )
        calls = sum(c.channel == "phone_log" for c in people)
        console.print(
            f"  Not due a written answer: {calls} callers (called back), {len(people) - len(due) - calls} senders of"
            " spam, a bounce and an out-of-office note.",
            highlight=False,
        )
    return 1 if problems else 0


def _figures(conn: Connection) -> tuple[dict[str, list[float]], int, int]:
    """(tier → waits in seconds, answered by rules, answered by agents), over answered interactions."""
    waits: dict[str, list[float]] = {}
    by_rule = 0
    query = (
        select(interactions.c.accepted_at, interactions.c.changed_at, decisions.c.body)
        .join(decisions, decisions.c.interaction_id == interactions.c.id)
        .where(interactions.c.state == "answered")
    )
    answered = 0
    accepted: datetime
    for accepted, changed, decision in conn.execute(query):
        waits.setdefault(decision["tier"], []).append((changed - accepted).total_seconds())
        answered += 1
        by_rule += decision["outcome"] == "answer"
    return waits, by_rule, answered - by_rule
