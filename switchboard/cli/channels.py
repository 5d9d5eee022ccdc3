"""The ways by which customers write."""

from typing import Any

import typer

from switchboard.cli.app import configuration, quiet_logs
from switchboard.cli.lazy import lazy_group
from switchboard.cli.output import Json, show

group = typer.Typer(
    cls=lazy_group(
        {
            "parse": "switchboard.cli.parse_mail:parse",
            "import": "switchboard.cli.mail_import:import_",
            "login": "switchboard.cli.mail_login:login",
            "check": "switchboard.cli.mail_check:check",
            "test-send": "switchboard.cli.mail_check:test_send",
        }
    ),
    help="The ways by which customers write.",
    no_args_is_help=True,
)


@group.command("list")
def list_(json: Json = False) -> None:
    """The configured accounts of every channel."""
    quiet_logs()
    rows: list[dict[str, Any]] = [
        {"channel": channel, "account": account, "queue": getattr(settings, "queue", None) or "by the rules"}
        for channel, accounts in configuration().channels.items()
        for account, settings in accounts.items()
    ]
    show(rows, title="Channels", columns=["channel", "account", "queue"], json=json, empty="No accounts.")
