"""`channels parse`: the production parser, its worker and its limits on mails in files. Nothing else is needed."""

import asyncio
import os
import sys
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.markup import escape

from channels.email.letter import Letter
from channels.email.mailfiles import MailFile, mails
from channels.email.parser.report import unparsed, unreadable
from channels.email.parser.worker import packed
from channels.email.settings import EmailSettings
from channels.email.threading import Threads
from rules.model import AutoAnswer
from runtime.workers import WorkerCrashed, WorkerPool, WorkerRaised, WorkerTimeout
from schemas import limits
from schemas.errors import ConfigError
from schemas.text import clean_line
from switchboard.cli.app import configuration, options, quiet_logs
from switchboard.cli.mail_accounts import email_account
from switchboard.cli.output import Json, out

TARGET = "channels.email.parser.worker:report"
AHEAD = 4
"""How many mails are in the workers at once; lines are printed in the order of the files."""


@dataclass(frozen=True, slots=True)
class _How:
    known: dict[str, Any]
    account: str | None
    assume_verified: bool
    thread: bool
    answers: AutoAnswer | None = None
    """What the policy says of them, where there is a configuration."""


def parse(
    channel: Annotated[str, typer.Argument(help="email: the one channel that has files to parse.")],
    paths: Annotated[list[Path], typer.Argument(metavar="PATH…", help="Mails, folders, Maildirs, mboxes.")],
    json: Json = False,
    config: Annotated[Path | None, typer.Option("--config", help="A configuration, for --account.")] = None,
    account: Annotated[str | None, typer.Option("--account", help="Parse as for this email account.")] = None,
    own: Annotated[list[str] | None, typer.Option("--own", metavar="ADDR", help="An address of ours.")] = None,
    authserv_id: Annotated[
        list[str] | None, typer.Option("--authserv-id", metavar="ID", help="Whose Authentication-Results count.")
    ] = None,
    assume_verified: Annotated[bool, typer.Option("--assume-verified", help="Skip the two sender checks.")] = False,
    thread: Annotated[bool, typer.Option("--thread", help="Also say which conversation each mail belongs to.")] = False,
) -> None:
    """Say what the parser makes of mails: one object a line with --json. Ends with 1 if a path could not be read."""
    quiet_logs()
    if channel != "email":
        raise ConfigError(
            [f"{channel}: only email can be parsed from files"], hint="switchboard channels parse email PATH…"
        )
    if config is not None:
        options.config = config
    name, settings = _account(account, configured=config is not None)
    known = _known(settings, own or [], authserv_id or [])
    answers = configuration().policy.auto_answer if settings else None
    how = _How(known, name, assume_verified, thread, answers)
    raise typer.Exit(asyncio.run(_run(paths, how, json=json)))


def _account(account: str | None, *, configured: bool) -> tuple[str | None, EmailSettings | None]:
    if account is None and not configured:
        return None, None
    return email_account(configuration(), account)


def _known(settings: EmailSettings | None, own: list[str], authserv_ids: list[str]) -> dict[str, Any]:
    known: dict[str, Any] = settings.told_to_parser() if settings is not None else {"authserv_ids": []}
    known["own_addresses"] = [*(each.lower() for each in own), *(settings.addresses if settings is not None else ())]
    known["authserv_ids"] = [*authserv_ids, *known["authserv_ids"]]
    return known


async def _run(paths: list[Path], how: _How, *, json: bool) -> int:
    pool = WorkerPool(TARGET, size=2, deadline_s=limits.PARSE_TIMEOUT.total_seconds(), name="mail parser")
    await pool.start()
    threads = Threads(how.account or "files") if how.thread else None
    failed = False
    try:
        async with aclosing(_lines(pool, paths, how)) as lines:
            async for line in lines:
                failed = failed or line["outcome"] == "unreadable"
                _threaded(line, threads)
                _print(line, json=json, assumed=how.assume_verified)
    except BrokenPipeError:
        _quiet_end()
    finally:
        await pool.stop()
    return 1 if failed else 0


def _quiet_end() -> None:
    """Who reads our output has seen enough (`| head`): nothing more is written, not even at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


async def _lines(pool: WorkerPool, paths: list[Path], how: _How) -> AsyncGenerator[dict[str, Any], None]:
    """In the order of the files, though several are in work."""
    running: list[asyncio.Task[dict[str, Any]]] = []
    try:
        for found in _all(paths):
            running.append(asyncio.create_task(_line(pool, found, how), name=f"parse {found.file}"))
            if len(running) >= AHEAD:
                yield await running.pop(0)
        while running:
            yield await running.pop(0)
    finally:  # whoever reads has seen enough
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def _all(paths: Iterable[Path]) -> Iterator[MailFile]:
    for path in paths:
        yield from mails(path)


async def _line(pool: WorkerPool, found: MailFile, how: _How) -> dict[str, Any]:
    if found.error is not None:
        return unreadable(found.file, found.error)
    file = clean_line(found.file)
    job: dict[str, object] = {
        "file": file,
        "index": found.index,
        "known": how.known,
        "account": how.account is not None,
        "assume_verified": how.assume_verified,
        "now": datetime.now(UTC).isoformat(),
        "thread": how.thread,
    }
    if how.answers is not None:
        job["fixed_for_unknown"] = how.answers.unknown == "fixed"
        job["max_age_s"] = how.answers.max_age.total_seconds()
    try:
        made: dict[str, Any] = orjson.loads(await pool.run(packed(job, found.raw)))
    except WorkerTimeout:
        return unparsed(found.raw, "timeout", file=file, index=found.index)
    except (WorkerCrashed, WorkerRaised) as error:
        return unparsed(found.raw, str(error), file=file, index=found.index)
    return made


def _threaded(line: dict[str, Any], threads: Threads | None) -> None:
    letter = line.pop("letter", None)
    if threads is None:
        return
    if letter is None:
        line["conversation"] = None
        if line["outcome"] == "unreadable":
            return
        letter = {"message_id": line["message_id"], "sender": ""}
    placed = threads.place(Letter(**letter), line["file"])
    line["conversation"] = {
        "key": placed.key,
        "how": placed.how,
        "joined": placed.joined,
        "refused": list(placed.refused),
    }


def _answer(line: dict[str, Any], *, assumed: bool) -> str:
    may = line["may_auto_answer"]
    if not may["ok"]:
        return f"no: {', '.join(may['because'])}"
    proved = assumed or line["auth"]["verdict"] == "verified"
    return "yes" if proved else "a fixed text alone: nothing is proved of the sender"


def _print(line: dict[str, Any], *, json: bool, assumed: bool) -> None:
    if json:
        sys.stdout.buffer.write(orjson.dumps(line) + b"\n")
        sys.stdout.buffer.flush()
        return
    console = out()
    sender = line["sender"] or {"name": "", "address": "?"}
    console.print(
        f"[bold]{escape(line['file'])}[/] #{line['index']} [dim]{line['outcome']} {line['ms']} ms[/]", highlight=False
    )
    rows = {
        "reason": line["reason"],
        "from": f"{sender['name']} <{sender['address']}> ({line['auth']['verdict']})",
        "subject": line["subject"],
        "automatic": f"{line['automatic']['class']} {', '.join(line['automatic']['signals'])}",
        "answer": _answer(line, assumed=assumed),
        "files": ", ".join(f"{each['name']} ({each['type']}, {each['size']})" for each in line["attachments"]),
        "defects": ", ".join(line["defects"]),
        "thread": " ".join(map(str, line["conversation"].values())) if line.get("conversation") else None,
        "new text": line["new_text"],
    }
    for name, value in rows.items():
        if value:
            console.print(f"  {name:<9} {value}", markup=False, highlight=False)
