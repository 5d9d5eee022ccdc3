"""Accepted interactions, by state."""

import asyncio
from typing import Annotated

import typer

from schemas.states import InteractionState
from store import ledger
from switchboard.base import opened
from switchboard.cli.app import configuration, quiet_logs
from switchboard.cli.output import Json, Limit, err, show
from switchboard.repair import release as release_

group = typer.Typer(help="Accepted interactions.", no_args_is_help=True)


@group.command("list")
def list_(
    state: Annotated[InteractionState | None, typer.Option(help="Only those in this state.")] = None,
    limit: Limit = 50,
    json: Json = False,
) -> None:
    """The latest interactions and where each stands."""
    quiet_logs()

    async def work() -> list[dict[str, object]]:
        async with opened(configuration(), read_only=True) as base:
            rows = await base.database.read(lambda conn: ledger.by_state(conn, state, limit))
        return [
            {
                "id": standing.id,
                "reference": interaction.reference if interaction else "",
                "received": received,
                "channel": channel,
                "state": standing.state.value,
                "reason": standing.reason,
                "from": interaction.sender.address if interaction else "",
                "subject": (interaction.subject or interaction.text[:60]) if interaction else "",
            }
            for standing, received, channel, interaction in rows
        ]

    columns = ["id", "reference", "channel", "state", "reason", "from", "subject"]
    show(asyncio.run(work()), title="Interactions", columns=columns, json=json)


@group.command()
def release(identity: Annotated[str, typer.Argument(metavar="ID|REFERENCE")]) -> None:
    """Decide again on a held interaction, without the rule that held it."""
    quiet_logs()

    async def work() -> int:
        async with opened(configuration()) as base:
            return await release_(base, identity)

    round_ = asyncio.run(work())
    err.print(f"{identity}: released, round {round_}")
