"""Verbs for the whole system."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from runtime.collector import tune_collector
from runtime.lifecycle import stop_on_signals
from schemas.errors import ConfigError
from store import ledger as ledger_
from store import schema
from switchboard.base import make_base, opened
from switchboard.cli.app import configuration, options, quiet_logs
from switchboard.cli.exits import FINDINGS
from switchboard.cli.output import Json, emit, err, out, table
from switchboard.version import __version__

if TYPE_CHECKING:
    from switchboard.house import House

STATES = ("received", "queued", "answering", "answered", "held", "closed", "dead_letter")


def version(json: Json = False) -> None:
    """Print the version."""
    emit([{"version": __version__}]) if json else out().print(__version__)


def init(
    folder: Annotated[Path, typer.Argument(help="Where to put it.")] = Path(),
) -> None:
    """Write a commented starting configuration with an example policy."""
    from switchboard.starter import write_starter

    written = write_starter(folder)
    err.print(f"Wrote {len(written)} files to {folder.resolve()}.")
    err.print(f"Next: [bold]switchboard --config {folder / 'switchboard.yaml'} check[/], then [bold]run[/].")


def check(json: Json = False) -> None:
    """Check the whole configuration, offline: every mistake at once, with its place."""
    quiet_logs()
    try:
        found = configuration()
    except ConfigError as error:
        if json:
            emit({"problem": problem} for problem in error.problems)
            raise typer.Exit(2) from None
        raise
    rules, accounts = len(found.policy.rules), sum(map(len, found.channels.values()))
    if json:
        emit([{"ok": True, "policy_version": found.policy.version, "rules": rules, "accounts": accounts}])
    else:
        err.print(f"[green]✓[/] {found.path}: {accounts} accounts, {rules} rules, policy {found.policy.version}")


def doctor(json: Json = False) -> None:
    """Check the services that the configuration names, online."""
    from switchboard.doctor import examine

    quiet_logs()
    findings = asyncio.run(examine(configuration()))
    if json:
        emit({"service": f.service, "ok": f.ok, "detail": f.detail, "hint": f.hint} for f in findings)
    else:
        for f in findings:
            mark = "[green]✓[/]" if f.ok else "[red]✗[/]"
            err.print(f"{mark} {f.service}: {f.detail}" + (f" [dim]({f.hint})[/]" if f.hint else ""))
    if not all(f.ok for f in findings):
        raise typer.Exit(FINDINGS)


def migrate() -> None:
    """Bring the store to the schema of this version."""
    quiet_logs()

    async def work() -> None:
        base = make_base(configuration())
        async with base.database:
            before, after = await schema.upgrade(base.database)
        err.print(f"{before or 'empty'} → {after}" if before != after else f"already at {after}")

    asyncio.run(work())


def run(
    roles: Annotated[list[str] | None, typer.Argument(help="Roles for this process; none = the whole system.")] = None,
    bind: Annotated[
        str | None,
        typer.Option("--bind", help="host:port for this process's pages, /healthz, /readyz and /metrics."),
    ] = None,
) -> None:
    """Run Switchboard: everything under one command, or only the named roles."""
    from switchboard.house import House

    async def work() -> int:
        found = configuration({"http.bind": bind} if bind else None)
        house = House(found, roles or ())  # type: ignore[arg-type]
        tune_collector()
        stop = asyncio.Event()
        with stop_on_signals(stop):
            report = await house.lifecycle.run_until(stop, ready=lambda: _ready(house))
        return 1 if report.died else 0

    raise typer.Exit(asyncio.run(work()))


def _ready(house: "House") -> None:
    if not options.quiet:
        at = f"at {house.http.url}" if house.http is not None else "(no pages here; --bind gives it some)"
        err.print(f"ready {at}", highlight=False)


def router_process(broker: Annotated[str, typer.Option()], group: Annotated[str, typer.Option()]) -> None:
    """The router's child process. `broker` is embedded:HOST:PORT or external:HOST:PORT,…"""
    from switchboard.router_process import run_tuned

    kind, _, address = broker.partition(":")
    run_tuned(configuration(), address, embedded=kind == "embedded", group=group)


def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave it running afterwards.")] = False,
    chaos: Annotated[bool, typer.Option("--chaos", help="Kill router and broker in the middle.")] = False,
    svg: Annotated[Path | None, typer.Option("--svg", help="Write the final picture as SVG.")] = None,
    port: Annotated[int, typer.Option("--port", help="Where the pages are; 0 = any free port.")] = 8080,
    brokers: Annotated[
        str, typer.Option("--brokers", help="embedded; local (Apache Kafka, needs Java and Maven); or host:port.")
    ] = "embedded",
) -> None:
    """Sixty customers write in over real protocols, two agents answer, and the ledger balances."""
    from switchboard.demo import run_demo

    code = run_demo(keep=keep, chaos=chaos, svg=svg, port=port, brokers=brokers, verbose=options.verbose)
    raise typer.Exit(asyncio.run(code))


def ledger(json: Json = False) -> None:
    """Account for every interaction: accepted = the sum of the states, by channel."""
    quiet_logs()

    async def work() -> ledger_.Balance:
        async with opened(configuration(), read_only=True) as base:
            return await base.database.read(ledger_.balance)

    balance = asyncio.run(work())
    lines = [*balance.channels, balance.total]
    if json:
        emit(
            {
                "channel": line.channel,
                "accepted": line.accepted,
                **{state: line.states.get(state, 0) for state in STATES},
                "copies": line.copies,
                "refused": line.refused,
                "balanced": line.balanced,
            }
            for line in lines
        )
    else:
        rows = [
            [
                line.channel,
                line.accepted,
                "=" if line.balanced else "≠",
                *(line.states.get(state, 0) for state in STATES),
                line.copies,
                line.refused,
            ]
            for line in lines
        ]
        table("Ledger", ["channel", "accepted", "", *STATES, "copies", "refused"], rows)
    if not balance.balanced:
        err.print("[red]The ledger does not balance.[/]")
        raise typer.Exit(FINDINGS)


def trace(identity: Annotated[str, typer.Argument(metavar="ID|REFERENCE")], json: Json = False) -> None:
    """Everything that happened to an interaction, or to a conversation by its reference, and why."""
    from switchboard.trace import lines_of

    quiet_logs()

    async def work() -> list[dict[str, object]]:
        async with opened(configuration(), read_only=True) as base:
            return await base.database.read(lambda conn: lines_of(conn, identity))

    rows = asyncio.run(work())
    if json:
        emit(rows)
        return
    start = rows[0]["at"]
    for row in rows:
        passed = row["at"] - start  # type: ignore[operator]
        assert isinstance(passed, timedelta)
        at = f"{row['at'].astimezone():%Y-%m-%d %H:%M:%S}"  # type: ignore[attr-defined]
        stamp = f"[dim]{at}  +{passed.total_seconds():8.3f} s[/]  [bold]{row['event']}[/]"
        first, *more = str(row["text"]).split("\n")
        out().print(f"{stamp}  {escape(first)}", highlight=False)
        for line in more:
            out().print(f"{'':35}{escape(line)}", highlight=False)
