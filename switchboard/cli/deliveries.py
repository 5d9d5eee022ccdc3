"""The delivery ledger: what became of each reply."""

import asyncio
from typing import Annotated

import typer

from schemas.errors import ConfigError, StateConflict
from schemas.states import DeliveryState
from store import by_hand, deliveries
from switchboard.base import opened
from switchboard.cli.app import configuration, quiet_logs
from switchboard.cli.output import Json, Limit, err, show

group = typer.Typer(help="What became of each reply.", no_args_is_help=True)


@group.command("list")
def list_(
    state: Annotated[DeliveryState | None, typer.Option(help="Only those in this state.")] = None,
    limit: Limit = 50,
    json: Json = False,
) -> None:
    """The latest deliveries, one for each recipient. `--state unknown` are those that only a person can settle."""
    quiet_logs()

    async def work() -> list[dict[str, object]]:
        async with opened(configuration(), read_only=True) as base:
            rows = await base.database.read(lambda conn: deliveries.listing(conn, state, limit))
        return [
            {
                "id": r.reply_id,
                "recipient": r.recipient,
                "channel": r.channel,
                "account": r.account,
                "state": r.state.value,
                "attempts": r.attempt,
                "changed": r.changed_at,
                "detail": r.detail,
            }
            for r in rows
        ]

    columns = ["id", "recipient", "channel", "state", "attempts", "changed", "detail"]
    show(asyncio.run(work()), title="Deliveries", columns=columns, json=json)


@group.command()
def retry(
    identity: Annotated[str | None, typer.Argument(metavar="[ID]", help="The reply's id.")] = None,
    account: Annotated[str | None, typer.Option("--account", help="All that are deferred of this account.")] = None,
    all_deferred: Annotated[bool, typer.Option("--all-deferred", help="All that are deferred.")] = False,
) -> None:
    """Try deferred deliveries at once, not when their time has come."""
    quiet_logs()
    if sum((identity is not None, account is not None, all_deferred)) != 1:
        raise ConfigError(["say which: an ID, --account NAME or --all-deferred"])
    found = configuration()
    known = sorted({name for accounts in found.channels.values() for name in accounts})
    if account is not None and account not in known:
        raise ConfigError([f"there is no account {account!r}"], hint=f"one of {', '.join(known)}")

    async def work() -> int:
        async with opened(found) as base:
            now = base.clock.now()
            return await base.database.write(lambda conn: by_hand.retry(conn, now, reply_id=identity, account=account))

    due = asyncio.run(work())
    err.print(f"{due} {'delivery is' if due == 1 else 'deliveries are'} due now")


@group.command()
def resolve(
    identity: Annotated[str, typer.Argument(metavar="ID", help="The reply's id.")],
    sent: Annotated[bool, typer.Option("--sent", help="It did arrive.")] = False,
    resend: Annotated[bool, typer.Option("--resend", help="Send it again.")] = False,
    recipient: Annotated[
        str | None,
        typer.Option("--recipient", metavar="ADDR", help="For whom; needed where several are unknown."),
    ] = None,
) -> None:
    """Say what became of a delivery whose outcome is unknown, for one recipient."""
    quiet_logs()
    if sent == resend:
        raise ConfigError(["say either --sent or --resend"])

    async def work() -> str:
        async with opened(configuration()) as base:
            now, out = base.clock.now(), base.store.outbox
            return await base.database.write(
                lambda conn: by_hand.resolve(conn, out, identity, sent=sent, now=now, recipient=recipient)
            )

    try:
        whose = asyncio.run(work())
    except by_hand.WhichRecipient as error:
        each = "  ".join(f"--recipient {address}" for address in error.unknown)
        raise StateConflict(str(error), hint=f"say for whom, one at a time: {each}") from None
    err.print(f"{identity}, {whose}: {'sent' if sent else 'will be sent again'}", markup=False)
