"""Agents: who may answer, their tokens, and work from a terminal."""

import asyncio
import os
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from schemas.errors import ConfigError
from store import agents as agents_
from switchboard.base import opened
from switchboard.cli.app import configuration, quiet_logs
from switchboard.cli.output import Json, emit, err, out, show
from switchboard.client import QueueConsumer

group = typer.Typer(help="Agents and their tokens.", no_args_is_help=True)
Name = Annotated[str, typer.Argument()]
Url = Annotated[str | None, typer.Option("--url", help="Where Switchboard runs; default: the configured one.")]


@group.command("list")
def list_(json: Json = False) -> None:
    """Who there is, and which queues they serve."""
    quiet_logs()

    async def work() -> list[agents_.Agent]:
        async with opened(configuration(), read_only=True) as base:
            return await base.database.read(agents_.listing)

    rows = [
        {
            "agent": a.name,
            "name": a.display_name,
            "queues": a.queues or ("all",),
            "address": a.address or "",
            "enabled": a.enabled,
        }
        for a in asyncio.run(work())
    ]
    show(
        rows,
        title="Agents",
        columns=["agent", "name", "queues", "address", "enabled"],
        json=json,
        empty="No agents yet.",
    )


@group.command()
def add(
    name: Name,
    display_name: Annotated[str, typer.Option("--name", help="What customers and colleagues see.")] = "",
    queue: Annotated[list[str] | None, typer.Option("--queue", help="A queue to serve; none = all.")] = None,
    skill: Annotated[list[str] | None, typer.Option("--skill")] = None,
    address: Annotated[
        str | None, typer.Option("--address", help="Where they write mail from: to a conversation, it is a note.")
    ] = None,
) -> None:
    """Add an agent. `agents token` then gives them a way in."""
    quiet_logs()
    found = configuration()
    if unknown := sorted(set(queue or ()) - set(found.policy.queues)):
        raise ConfigError(
            [f"there is no queue {q!r}" for q in unknown], hint=f"one of {', '.join(found.policy.queues)}"
        )

    if address is not None and "@" not in address.strip("@"):
        raise ConfigError([f"--address {address}: is no mail address"], hint="--address ann@shop.example")

    async def work() -> None:
        async with opened(found) as base:
            now = base.clock.now()
            await base.database.write(
                lambda conn: agents_.add(
                    conn,
                    name,
                    display_name=display_name,
                    queues=queue or (),
                    skills=skill or (),
                    address=address,
                    at=now,
                )
            )

    asyncio.run(work())
    err.print(f"Added {name}. Next: [bold]switchboard agents token {name}[/]")


@group.command()
def disable(name: Name) -> None:
    """Shut an agent out: no sign-in any more, every token revoked."""
    quiet_logs()

    async def work() -> None:
        async with opened(configuration()) as base:
            now = base.clock.now()
            await base.database.write(lambda conn: agents_.disable(conn, name, now))

    asyncio.run(work())
    err.print(f"Disabled {name}.")


@group.command()
def token(name: Name, label: Annotated[str, typer.Option(help="What it is for.")] = "", json: Json = False) -> None:
    """Make an API token. It is shown this once; only its hash is kept."""
    quiet_logs()
    made = agents_.new_token()

    async def work() -> None:
        async with opened(configuration()) as base:
            now = base.clock.now()
            await base.database.write(lambda conn: agents_.add_token(conn, name, made, label=label, at=now))

    asyncio.run(work())
    if json:
        emit([{"agent": name, "token": made}])
    else:
        out().print(made, highlight=False)
        err.print("[dim]Keep it: it is not shown again. Clients read it from SWITCHBOARD_TOKEN.[/]")


@group.command("queue")
def queue_(url: Url = None, json: Json = False) -> None:
    """What you hold, and what waits for you, in the order in which it is handed out. The token comes from
    SWITCHBOARD_TOKEN."""
    quiet_logs()
    secret = _token()

    async def work() -> list[dict[str, Any]]:
        async with QueueConsumer(url or configuration().public_url, secret) as queue:
            return await queue.line()

    rows = [
        {
            "id": item["id"],
            "reference": item["reference"],
            "state": "yours" if item["agent"] else "waits",
            "channel": item["channel"],
            "tier": item["tier"],
            "queue": item["queue"],
            "deadline": datetime.fromisoformat(item["deadline"]),
            "subject": item["subject"],
            "reason": item["reason"],
        }
        for item in asyncio.run(work())
    ]
    columns = ["id", "reference", "state", "channel", "tier", "queue", "deadline", "subject"]
    show(rows, title="Queue", columns=columns, json=json, empty="Nobody waits.")


@group.command()
def answer(
    item: Annotated[str, typer.Argument(metavar="ITEM", help="The work item's id, or its reference, such as SB-1042.")],
    text: Annotated[str, typer.Argument(help="Your answer; -: read it from standard input.")] = "-",
    attach: Annotated[list[Path] | None, typer.Option("--attach", metavar="FILE", help="Goes with the mail.")] = None,
    cc: Annotated[list[str] | None, typer.Option("--cc", metavar="ADDR", help="Gets the mail as well.")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Answer, and give the work item back.")] = False,
    url: Url = None,
) -> None:
    """Answer a work item that waits, or that you hold, and complete it. The token comes from SWITCHBOARD_TOKEN."""
    quiet_logs()
    secret = _token()
    words = (sys.stdin.read() if text == "-" else text).strip()
    problems = [f"{each}: there is no such file" for each in attach or () if not each.is_file()]
    if not words:
        problems.append("there is no text")
    if problems:
        raise ConfigError(problems)

    async def work() -> None:
        async with QueueConsumer(url or configuration().public_url, secret) as queue:
            held = await queue.accept(item if ":" in item else await queue.find(item))
            if keep:
                await held.reply(words, files=attach or (), cc=cc or ())
            else:
                await held.complete(words, files=attach or (), cc=cc or ())

    asyncio.run(work())
    err.print(f"Answered {item}.")


@group.command()
def work(
    url: Url = None,
) -> None:
    """Take work from the queue and answer it, in this terminal. The token comes from SWITCHBOARD_TOKEN."""
    from switchboard.terminal import work as work_

    quiet_logs()
    secret = _token()
    asyncio.run(work_(url or configuration().public_url, secret))


def _token() -> str:
    secret = os.environ.get("SWITCHBOARD_TOKEN", "")
    if not secret:
        raise ConfigError(["SWITCHBOARD_TOKEN is not set"], hint="switchboard agents token NAME makes one")
    return secret
