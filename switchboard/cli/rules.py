"""The policy: check it, and ask it why."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from channels.email.parse import parse as parse_mail
from router.core.triage import decide_safely
from rules.explain import describe
from rules.policy import Policy, compile_policy
from schemas.decision import Decision, Facts
from schemas.errors import ConfigError, NotFound
from schemas.fast import as_model
from schemas.interaction import Contact, Interaction
from store import decisions, policies
from switchboard.base import opened
from switchboard.cli.app import configuration, quiet_logs
from switchboard.cli.output import Json, emit, err, out
from switchboard.trace import targets

group = typer.Typer(help="Rules, templates, priorities: the policy.", no_args_is_help=True)


@group.command()
def check(json: Json = False) -> None:
    """Check rules, templates, priorities, queues and business hours: every mistake at once."""
    quiet_logs()
    try:
        policy = configuration().policy
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
def publish(json: Json = False) -> None:
    """Make this configuration's policy the active one, for every process: new interactions are decided by it."""
    quiet_logs()
    found = configuration()
    body, now = found.policy.to_json(), datetime.now(UTC)

    async def work() -> None:
        async with opened(found) as base:
            await base.database.write(lambda conn: policies.activate(conn, found.policy.version, body, now))

    asyncio.run(work())
    if json:
        emit([{"active": found.policy.version}])
    else:
        err.print(f"[green]✓[/] {found.policy.version} is active")


@group.command()
def explain(
    identity: Annotated[
        str | None, typer.Argument(metavar="ID|REFERENCE", help="An accepted interaction, or SB-1042.")
    ] = None,
    file: Annotated[
        list[Path] | None, typer.Option("--file", "-f", help="A mail, or an interaction as JSON; folders work.")
    ] = None,
    json: Json = False,
) -> None:
    """Say which rules were looked at, which condition failed with which value, what won and why."""
    quiet_logs()
    if (identity is None) == (not file):
        raise ConfigError(["name an interaction's ID, or --file"], hint="switchboard rules explain --help")
    found = asyncio.run(_recorded(identity)) if identity else [(p, d, "") for p, d in _tried(_files(file or []))]
    for title, decision, refused in found:
        if json:
            emit([{"of": title, "refused": refused, **decision.model_dump(mode="json")}])
            continue
        out().print(f"[bold]{title}[/]", highlight=False)
        for line in describe(decision):
            out().print(f"  {line}", markup=False, highlight=False)
        if refused:
            out().print(f"  the answer was not given: {refused}", markup=False, highlight=False)


async def _recorded(identity: str) -> list[tuple[str, Decision, str]]:
    async with opened(configuration(), read_only=True) as base:
        found = await base.database.read(lambda conn: targets(conn, identity))
        made = await base.database.read(
            lambda conn: [each for interaction, _ in found for each in decisions.of_interaction(conn, interaction)]
        )
    if not made:
        raise NotFound(f"{identity}: there is no decision yet")
    return [(f"{d.interaction_id} (round {d.round})", d, refused) for d, refused in made]


def _files(paths: list[Path]) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise NotFound(f"{path}: there is no such file")
        found += sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    return found


def _tried(paths: list[Path]) -> list[tuple[str, Decision]]:
    policy = compile_policy(configuration().policy)
    return [(str(path), _decide(policy, path)) for path in paths]


def _decide(policy: Policy, path: Path) -> Decision:
    now = datetime.now(UTC)
    raw = path.read_bytes()
    if raw.lstrip()[:1] == b"{":
        interaction = Interaction.model_validate_json(raw)
        interaction = interaction.model_copy(update={"policy_version": policy.version})
    else:
        interaction = _as_if_accepted(parse_mail(raw, account="file", received_at=now), policy, now)
    return as_model(decide_safely(policy, interaction, Facts(), now))


def _as_if_accepted(contact: Contact, policy: Policy, now: datetime) -> Interaction:
    values: dict[str, Any] = {name: getattr(contact, name) for name in Contact.model_fields}
    return Interaction.model_construct(
        **values,
        id="file",
        conversation_id="file",
        reference=policy.source.conversations.reference.format(number=0),
        seq=1,
        round=1,
        occasion="first",
        accepted_at=now,
        customer_id="file",
        policy_version=policy.version,
        digest="",
        raw=None,
        released_from=None,
        traceparent=None,
    )
