"""`rules explain`: what was decided, or would be, and why."""

import asyncio
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from router.core.triage import decide, decide_safely
from rules.explain import describe
from rules.explain_json import explained
from rules.model import PolicySource
from rules.policy import Policy, compile_policy
from schemas.decision import Decision, Facts
from schemas.errors import ConfigError, NotFound
from schemas.fast import as_model, as_struct
from schemas.interaction import Interaction
from switchboard.cli.app import configuration, options, quiet_logs
from switchboard.cli.output import Json, emit, out
from switchboard.cli.rules_inputs import (
    Draft,
    facts_from,
    files_of,
    interaction_from,
    mail_accounts,
    moment_from,
    policy_from,
)

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection


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
    unread: list[str] = []
    if identity:
        anew = bool(rules or customer or at or everything)
        found = asyncio.run(_recorded(identity, rules, facts if customer else None, moment, everything, anew))
    else:
        policy, place = compile_policy(policy_from(rules)), (rules or options.config).resolve()
        accounts = mail_accounts()
        found = []
        for path in files_of(file or []):
            try:
                interaction = interaction_from(path, policy, moment, accounts)
            except ConfigError as error:
                unread += error.problems
                continue
            title = f"{path} (policy {policy.version} of {place})"
            found.append((title, policy.source, _decide(policy, interaction, facts, moment, everything), ""))
    for title, source, decision, refused in found:
        if json:
            emit([explained(decision, refused)])
            continue
        out().print(title, style="bold", markup=False, highlight=False, soft_wrap=True)
        for line in describe(decision, source):
            out().print(f"  {line}", markup=False, highlight=False)
        if refused:
            out().print(f"  the answer was not given: {refused}", markup=False, highlight=False)
    if unread:  # the others have been explained
        raise ConfigError(unread, hint="an interaction as JSON has the fields of its published schema")


def _decide(policy: Policy, interaction: Interaction, facts: Facts, now: datetime | None, everything: bool) -> Decision:
    struct, moment = as_struct(interaction), now or interaction.received_at
    if not everything:
        return as_model(decide_safely(policy, struct, facts, moment))
    return as_model(decide(policy, struct, facts, moment, trace_all=True))


async def _recorded(
    identity: str, rules: Path | None, facts: Facts | None, at: datetime | None, everything: bool, anew: bool
) -> list[tuple[str, PolicySource, Decision, str]]:
    """The decisions as they were made; `anew`: what would be decided with what was asked for."""
    from store import decisions, ledger  # with --file no store is needed
    from switchboard.base import opened
    from switchboard.trace import targets

    async with opened(configuration(), read_only=True) as base:
        found = await base.database.read(lambda conn: targets(conn, identity))
        made = await base.database.read(
            lambda conn: [each for interaction, _ in found for each in decisions.of_interaction(conn, interaction)]
        )
        if not made:
            raise NotFound(f"{identity}: there is no decision yet")
        if not anew:
            sources = await base.database.read(lambda conn: {d.policy_version: _source(conn, d) for d, _ in made})
            titles = [f"{d.interaction_id} (round {d.round}, policy {d.policy_version})" for d, _ in made]
            return [(title, sources[d.policy_version], d, told) for title, (d, told) in zip(titles, made, strict=True)]
        last = {d.interaction_id: d for d, _ in made}
        known = await base.database.read(lambda conn: ledger.load(conn, list(last)))
        answers = []
        for key, before in last.items():
            if rules:
                source = policy_from(rules)
            else:
                source = await base.database.read(lambda conn, before=before: _source(conn, before))  # type: ignore[misc]
            moment = at or before.decided_at
            policy = compile_policy(source)
            place = f" of {rules.resolve()}" if rules else ""
            answer = _decide(policy, known[key], facts or before.facts, moment, everything)
            answers.append((f"{key} (decided anew by policy {policy.version}{place})", source, answer, ""))
        return answers


def _source(conn: "Connection", decision: Decision) -> PolicySource:
    """The policy that made it."""
    from store import policies

    return PolicySource.from_json(policies.body(conn, decision.policy_version))
