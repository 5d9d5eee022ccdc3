"""`rules check` and `rules schema`: neither needs a store."""

from pathlib import Path
from typing import Annotated

import orjson
import typer

from rules import cases
from rules.editors import json_schema
from rules.policy import compile_policy
from schemas.errors import ConfigError
from switchboard.cli.app import quiet_logs
from switchboard.cli.output import Json, emit, err
from switchboard.cli.rules_inputs import Draft, policy_from


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
        compile_policy(policy)
    except ConfigError as error:
        if json:
            emit({"problem": problem} for problem in error.problems)
            raise typer.Exit(2) from None
        raise
    if json:
        emit([{"ok": True, "policy_version": policy.version, "rules": len(policy.rules)}])
    else:
        err.print(f"[green]✓[/] {len(policy.rules)} rules, {len(policy.templates)} templates: {policy.version}")


def schema(
    of_cases: Annotated[bool, typer.Option("--cases", help="That of files of behaviour cases.")] = False,
) -> None:
    """Print the JSON Schema of rule files, with which editors complete and check them."""
    found = cases.json_schema() if of_cases else json_schema()
    # Not by way of the console, which would break long lines.
    typer.echo(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode())
