"""The policy: check it, try it, publish it, and ask it why."""

import typer

from switchboard.cli.lazy import lazy_group

group = typer.Typer(
    cls=lazy_group(
        {
            "check": "switchboard.cli.rules_check:check",
            "schema": "switchboard.cli.rules_check:schema",
            "publish": "switchboard.cli.rules_versions:publish",
            "versions": "switchboard.cli.rules_versions:versions",
            "test": "switchboard.cli.rules_test:run_cases",
            "explain": "switchboard.cli.rules_explain:explain",
            "dry-run": "switchboard.cli.rules_dry_run:dry_run",
        }
    ),
    help="Rules, templates, priorities: the policy.",
    no_args_is_help=True,
)
