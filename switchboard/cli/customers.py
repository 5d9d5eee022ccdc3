"""What the company knows of its customers: tier, segment, agreement, tags. Rules and priorities read it."""

import asyncio
from typing import Annotated, Any, Literal

import typer

from rules.problems import did_you_mean
from schemas.addresses import compared
from schemas.errors import ConfigError, NotFound
from store import customers
from switchboard.base import opened
from switchboard.cli.app import configuration, quiet_logs
from switchboard.cli.output import Json, Limit, err, show

group = typer.Typer(help="What is known of customers.", no_args_is_help=True)
Address = Annotated[str, typer.Argument(help="A mail address, or a phone number such as +49301234567.")]
COLUMNS = ("address", "name", "tier", "segment", "agreement", "tags")


@group.command("set")
def set_(
    address: Address,
    tier: Annotated[str | None, typer.Option(help='Such as gold; "" takes it away.')] = None,
    segment: Annotated[str | None, typer.Option(help='Such as trade; "" takes it away.')] = None,
    agreement: Annotated[str | None, typer.Option(help='One of priority.agreements; "" takes it away.')] = None,
    tag: Annotated[list[str] | None, typer.Option("--tag", help="These tags instead of all there were.")] = None,
    no_tags: Annotated[bool, typer.Option("--no-tags", help="Take all tags away.")] = False,
    name: Annotated[str | None, typer.Option(help="As shown to agents.")] = None,
) -> None:
    """Set what is known of a customer, who need not have written yet. What is not named stays as it is."""
    quiet_logs()
    found = configuration()
    agreements = found.policy.priority.agreements
    if agreement and agreement not in agreements:
        hint = did_you_mean(agreement, agreements) if agreements else "the policy has no priority.agreements"
        raise ConfigError([f"--agreement {agreement}: there is no such agreement"], hint=hint)
    given: dict[str, Any] = {"tier": tier, "segment": segment, "agreement": agreement}
    known = {key: value or None for key, value in given.items() if value is not None}
    if name is not None:
        known["name"] = name
    if tag or no_tags:
        known["tags"] = sorted(set(tag or ()))
    if not known:
        raise ConfigError(["nothing to set"], hint="switchboard customers set --help")
    kind, address = _of(address)

    async def work() -> None:
        async with opened(found) as base:
            now = base.clock.now()
            await base.database.write(lambda conn: customers.classify(conn, kind, address, now, **known))

    asyncio.run(work())
    err.print(f"{address}: " + ", ".join(f"{key} {value or '–'}" for key, value in known.items()), markup=False)


@group.command("list")
def list_(
    address: Annotated[str | None, typer.Argument(help="One customer; default: those with a tier, a tag, …")] = None,
    limit: Limit = 50,
    json: Json = False,
) -> None:
    """What is known of customers."""
    quiet_logs()
    wanted = _of(address)[1] if address is not None else None

    async def work() -> list[customers.Customer]:
        async with opened(configuration(), read_only=True) as base:
            if wanted is None:
                return await base.database.read(lambda conn: customers.classified(conn, limit))
            return await base.database.read(lambda conn: customers.by_address(conn, wanted))

    found = asyncio.run(work())
    if wanted is not None and not found:
        raise NotFound(f"{wanted}: no such customer has written", hint="customers set makes one")
    rows = [{column: getattr(each, column) or "" for column in COLUMNS} for each in found]
    show(rows, title="Customers", columns=list(COLUMNS), json=json, empty="Nothing is known of anybody yet.")


def _of(written: str) -> tuple[Literal["email", "phone"], str]:
    """(kind, address as it is kept). Raises ConfigError."""
    address = written.strip()
    if "@" in address.strip("@"):
        return "email", compared(address)
    digits = address.replace(" ", "").replace("-", "")
    if digits.startswith("+") and digits[1:].isdigit():
        return "phone", digits
    raise ConfigError([f"{written}: is neither a mail address nor a number that begins with +"])
