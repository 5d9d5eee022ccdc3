"""`channels import`: mails from files into the store."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

from channels.email.importing import Imported, import_mails, total_bytes
from channels.email.reading import MailReader
from rules.policy import compile_policy
from schemas.errors import ConfigError, NotFound
from store import policies
from switchboard.base import opened
from switchboard.cli.app import configuration, quiet_logs
from switchboard.cli.exits import FINDINGS
from switchboard.cli.mail_accounts import email_account
from switchboard.cli.output import Json, emit, err
from switchboard.secret import load_secret


def import_(
    channel: Annotated[str, typer.Argument(help="email: the one channel that has files to import.")],
    path: Annotated[Path, typer.Argument(help="A mail (.eml), a folder of them, a Maildir or an mbox.")],
    account: Annotated[str | None, typer.Option("--account", help="The email account that they belong to.")] = None,
    archive: Annotated[bool, typer.Option("--archive", help="Record them as closed: nobody is to answer.")] = False,
    restart: Annotated[bool, typer.Option("--restart", help="Do not go on where the last run was cut short.")] = False,
    json: Json = False,
) -> None:
    """Take mails in from files. No machine answers them; without --archive they are queued for agents.

    May be cut short and run again: what was taken in is recognised. Ends with 1 if something could not be read, or was
    set aside.
    """
    quiet_logs()
    if channel != "email":
        raise ConfigError([f"{channel}: only email can be imported"], hint="switchboard channels import email PATH")
    if not path.exists():
        raise NotFound(f"{path}: there is no such file or folder")
    done = asyncio.run(_import(path, account, archive=archive, restart=restart))
    for file, why in done.unreadable:
        err.print(f"[red]✗[/] {escape(file)}: {escape(why)}", soft_wrap=True)
    counts = {"skipped": done.skipped, "unreadable": len(done.unreadable), **done.outcomes}
    if json:
        emit([counts])
    else:
        err.print(", ".join(f"{count} {_words(name)}" for name, count in counts.items() if count) or "No mails.")
    if done.outcomes["set_aside"]:
        err.print("What was set aside could not be accepted: switchboard dead-letters list", soft_wrap=True)
    raise typer.Exit(FINDINGS if done.unreadable or done.outcomes["set_aside"] else 0)


def _words(outcome: str) -> str:
    return outcome.replace("_", " ")


async def _import(path: Path, account: str | None, *, archive: bool, restart: bool) -> Imported:
    found = configuration()
    name, settings = email_account(found, account)
    bar = Progress(
        "[progress.description]{task.description}",
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    async with opened(found) as base:
        policy, now = found.policy, base.clock.now()
        compile_policy(policy)  # what cannot be made ready never becomes the active one
        await base.database.write(lambda conn: policies.activate_first(conn, policy.version, policy.to_json(), now))
        reader = MailReader(found.channels["email"], load_secret(found.data_dir))
        await reader.start()
        try:
            with bar:
                task = bar.add_task(f"import into {name}", total=total_bytes(path))
                return await import_mails(
                    path,
                    name,
                    settings,
                    reader=reader,
                    store=base.store,
                    clock=base.clock,
                    archive=archive,
                    restart=restart,
                    advanced=lambda count: bar.advance(task, count),
                )
        finally:
            await reader.stop()
