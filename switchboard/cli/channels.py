"""The ways by which customers write."""

from typing import Any

import typer

from switchboard.cli.app import configuration, quiet_logs
from switchboard.cli.mail_check import check, test_send
from switchboard.cli.mail_import import import_
from switchboard.cli.mail_login import login
from switchboard.cli.output import Json, show
from switchboard.cli.parse_mail import parse

group = typer.Typer(help="The ways by which customers write.", no_args_is_help=True)


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


group.command("parse")(parse)
group.command("import")(import_)
group.command("login")(login)
group.command("check")(check)
group.command("test-send")(test_send)
