"""The policy: check it, try it, publish it, and ask it why."""

import asyncio
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from router.core.triage import decide, decide_safely
from rules import cases
from rules.editors import json_schema
from rules.explain import describe
from rules.explain_json import explained
from rules.model import PolicySource
from rules.policy import Policy, compile_policy
from rules.problems import in_order
from schemas.decision import Decision, Facts
from schemas.durations import parse_duration
from schemas.errors import ConfigError, NotFound
from schemas.fast import as_model, as_struct
from schemas.interaction import Interaction
from store import decisions, ledger, policies
from switchboard.base import opened
from switchboard.cli import rules_dry_run
from switchboard.cli.app import configuration, options, quiet_logs
from switchboard.cli.exits import FINDINGS, USAGE
from switchboard.cli.output import Json, emit, err, out, show, table
from switchboard.cli.rules_cases import cases_in, differences
from switchboard.cli.rules_inputs import facts_from, files_of, interaction_from, moment_from, policy_from
from switchboard.dry_run import Found
from switchboard.trace import targets

group = typer.Typer(help="Rules, templates, priorities: the policy.", no_args_is_help=True)
Draft = Annotated[
    Path | None,
    typer.Option("--rules", "-r", metavar="DIR", help="Another configuration's folder, or a folder or file of rules."),
]


@group.command()
def check(
    draft: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="As --rules; default: the configuration's policy.")
    ] = None,
    rules: Draft = None,
    json: Json = False,
) -> None:
    """Check rules, templates, priorities, queues and business hours: every mistake at once."""
    quiet_logs()
    try:
        policy = policy_from(draft or rules)
    except ConfigError as error:
        if json:
            emit({"problem": problem} for problem in error.problems)
            raise typer.Exit(2) from None
        raise
    if json:
        emit([{"ok": True, "policy_version": policy.version, "rules": len(policy.rules)}])
    else:
        err.print(f"[green]✓[/] {len(policy.rules)} rules, {len(policy.templates)} templates: {policy.version}")


@group.command()
def schema(
    of_cases: Annotated[bool, typer.Option("--cases", help="That of files of behaviour cases.")] = False,
) -> None:
    """Print the JSON Schema of rule files, with which editors complete and check them."""
    found = cases.json_schema() if of_cases else json_schema()
    # Not by way of the console, which would break long lines.
    typer.echo(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode())


@group.command()
def publish(
    version: Annotated[
        str | None, typer.Argument(metavar="[VERSION]", help="A version of `rules versions`, to go back to it.")
    ] = None,
    rules: Draft = None,
    json: Json = False,
) -> None:
    """Make this configuration's policy the active one, for every process: new interactions are decided by it.

    With a VERSION, the one that was active before. Nothing changes unless the whole policy is right.
    """
    quiet_logs()
    # Going back is for when the files are wrong.
    found = configuration(with_policy=version is None)
    now = datetime.now(UTC)

    async def work() -> str:
        async with opened(found) as base:
            if version is None:
                source = policy_from(rules) if rules else found.policy
                body = source.to_json()
                await base.database.write(lambda conn: policies.activate(conn, source.version, body, now))
                return source.version
            body = await base.database.read(lambda conn: policies.body(conn, version))
            compile_policy(PolicySource.from_json(body))
            await base.database.write(lambda conn: policies.go_back(conn, version, now))
            return version

    active = asyncio.run(work())
    if json:
        emit([{"active": active}])
    else:
        err.print(f"[green]✓[/] {active} is active")
        if version is not None:
            err.print("A start publishes the files again: put them back, too.", soft_wrap=True)


@group.command()
def versions(json: Json = False) -> None:
    """List the versions in the store. `rules publish VERSION` goes back to one."""
    quiet_logs()

    async def work() -> list[policies.Version]:
        async with opened(configuration(with_policy=False), read_only=True) as base:
            return await base.database.read(policies.versions)

    found = [
        {"version": v.version, "active": v.active, "created_at": v.created_at, "activated_at": v.activated_at}
        for v in asyncio.run(work())
    ]
    show(found, title="Policy versions", columns=("version", "active", "created_at", "activated_at"), json=json)


@group.command("test")
def run_cases(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[CASES…]", help="Files or folders; default: cases/ beside the rules."),
    ] = None,
    rules: Draft = None,
    json: Json = False,
) -> None:
    """Run the behaviour cases: given this interaction, expect this decision."""
    quiet_logs()
    policy, placed = _policy_and_cases(rules, _case_files(paths, rules), json=json)
    failed, ran = 0, len(placed)
    for where, case in placed:
        wrong = differences(policy, case)
        failed += bool(wrong)
        if json:
            emit([{"case": case.case, "place": where, "ok": not wrong, "differences": wrong}])
        elif wrong:
            out().print(f"✗ {case.case} ({where})", markup=False, highlight=False)
            for line in wrong:
                out().print(f"    {line}", markup=False, highlight=False)
    if not json:
        err.print(f"{ran} cases, {failed} failed" if failed else f"[green]✓[/] {ran} cases")
    if failed:
        raise typer.Exit(FINDINGS)


def _policy_and_cases(rules: Path | None, files: list[Path], *, json: bool) -> tuple[Policy, list[cases.Placed]]:
    """Both whole, before any case runs. Raises ConfigError with the mistakes of both, NotFound without a case."""
    source, placed, problems = None, list[cases.Placed](), list[str]()
    try:
        source = policy_from(rules)
    except ConfigError as error:
        problems += error.problems
    try:
        placed = cases_in(files)
    except ConfigError as error:
        problems += error.problems
    if source is None or problems:
        if json:
            emit({"problem": problem} for problem in in_order(problems))
            raise typer.Exit(USAGE)
        raise ConfigError(in_order(problems), hint="no case was run")
    if not placed:
        raise NotFound("the files hold no case", hint=f"write some in {files[0]}" if files else "")
    return compile_policy(source), placed


def _case_files(paths: list[Path] | None, rules: Path | None) -> list[Path]:
    if paths:
        return files_of(paths)
    folder = (rules if rules.is_dir() else rules.parent) if rules else options.config.parent
    beside = [folder / "cases", folder / "rules" / "cases", folder.parent / "cases"][: 3 if rules else 2]
    found = [path for place in beside if place.is_dir() for path in sorted(place.rglob("*.y*ml"))]
    found += sorted({*folder.glob("*.cases.y*ml"), *folder.glob("rules/*.cases.y*ml")})
    if not found:
        raise NotFound("there are no behaviour cases", hint=f"write them in {folder / 'cases'}, or name their files")
    return found


@group.command()
def explain(
    identity: Annotated[
        str | None, typer.Argument(metavar="ID|REFERENCE", help="An accepted interaction, or SB-1042.")
    ] = None,
    file: Annotated[
        list[Path] | None, typer.Option("--file", "-f", help="A mail, or an interaction as JSON; folders work.")
    ] = None,
    rules: Draft = None,
    customer: Annotated[
        Path | None, typer.Option("--customer", metavar="FILE", help="What is known of the customer: tier, tags, …")
    ] = None,
    at: Annotated[str | None, typer.Option("--at", metavar="TIME", help="As if it were then (ISO).")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Also list the rules that the index skipped.")] = False,
    json: Json = False,
) -> None:
    """Say which rules were looked at, which condition failed with which value, what won and why."""
    quiet_logs()
    if (identity is None) == (not file):
        raise ConfigError(["name an interaction's ID, or --file"], hint="switchboard rules explain --help")
    moment, facts = moment_from(at), facts_from(customer)
    if identity:
        anew = bool(rules or customer or at or everything)
        found = asyncio.run(_recorded(identity, rules, facts if customer else None, moment, everything, anew))
    else:
        policy, place = compile_policy(policy_from(rules)), (rules or options.config).resolve()
        found = [
            (
                f"{path} (policy {policy.version} of {place})",
                _decide(policy, interaction_from(path, policy, moment), facts, moment, everything),
                "",
            )
            for path in files_of(file or [])
        ]
    for title, decision, refused in found:
        if json:
            emit([explained(decision, refused)])
            continue
        out().print(title, style="bold", markup=False, highlight=False, soft_wrap=True)
        for line in describe(decision):
            out().print(f"  {line}", markup=False, highlight=False)
        if refused:
            out().print(f"  the answer was not given: {refused}", markup=False, highlight=False)


def _decide(policy: Policy, interaction: Interaction, facts: Facts, now: datetime | None, everything: bool) -> Decision:
    struct, moment = as_struct(interaction), now or interaction.received_at
    if not everything:
        return as_model(decide_safely(policy, struct, facts, moment))
    return as_model(decide(policy, struct, facts, moment, trace_all=True))


async def _recorded(
    identity: str, rules: Path | None, facts: Facts | None, at: datetime | None, everything: bool, anew: bool
) -> list[tuple[str, Decision, str]]:
    """The decisions as they were made; `anew`: what would be decided with what was asked for."""
    async with opened(configuration(), read_only=True) as base:
        found = await base.database.read(lambda conn: targets(conn, identity))
        made = await base.database.read(
            lambda conn: [each for interaction, _ in found for each in decisions.of_interaction(conn, interaction)]
        )
        if not made:
            raise NotFound(f"{identity}: there is no decision yet")
        if not anew:
            return [(f"{d.interaction_id} (round {d.round}, policy {d.policy_version})", d, told) for d, told in made]
        last = {d.interaction_id: d for d, _ in made}
        known = await base.database.read(lambda conn: ledger.load(conn, list(last)))
        answers = []
        for key, before in last.items():
            if rules:
                source = policy_from(rules)
            else:
                version = before.policy_version
                body = await base.database.read(lambda conn, version=version: policies.body(conn, version))  # type: ignore[misc]
                source = PolicySource.from_json(body)
            moment = at or before.decided_at
            policy = compile_policy(source)
            place = f" of {rules.resolve()}" if rules else ""
            answer = _decide(policy, known[key], facts or before.facts, moment, everything)
            answers.append((f"{key} (decided anew by policy {policy.version}{place})", answer, ""))
        return answers


@group.command("dry-run")
def dry_run(
    draft: Annotated[Path, typer.Argument(help="A folder of rules, or of a whole configuration.")],
    since: Annotated[str, typer.Option("--since", help="How far back: 7d, 12h, or an ISO moment.")] = "7d",
    json: Json = False,
) -> None:
    """Say what a draft would have decided otherwise, with the facts of the moment. Nothing is changed."""
    quiet_logs()
    found, source = configuration(), policy_from(draft)
    begin = _since(since)
    begun = time.perf_counter()

    columns = (TextColumn("dry-run"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=err, transient=True, disable=not err.is_terminal)

    async def work() -> Found:
        task = bar.add_task("dry-run")
        async with opened(found, read_only=True) as base:
            return await rules_dry_run.run(
                base.database,
                source,
                begin,
                processes=os.cpu_count() or 1,
                begin=lambda total: bar.update(task, total=total),
                progress=lambda done: bar.update(task, completed=done),
            )

    with bar:
        result = asyncio.run(work())
    took = time.perf_counter() - begun
    made = result.as_json()
    if json:
        emit([{"draft": source.version, "seconds": round(took, 2), **made}])
        return
    rows: list[list[Any]] = []
    for move in made["moves"]:
        told = "; ".join(f"{one['reference']} {one['subject'][:40]!r}" for one in move["examples"])
        rows.append([move["kind"], move["before"] or "–", move["after"] or "–", move["count"], told])
    if rows:
        table("What would change", ("kind", "before", "after", "count", "examples"), rows)
    err.print(f"{result.looked_at} interactions, {result.changed} would change ({took:.1f} s)")


def _since(written: str) -> datetime:
    try:
        return datetime.now(UTC) - parse_duration(written)
    except (ValueError, OverflowError):
        moment = moment_from(written)
        assert moment is not None
        return moment
