"""Dead letters: what could not be processed."""

import asyncio
from typing import Annotated, Any, Literal

import typer

from schemas.errors import NotFound
from store import dead_letters
from store.dead_letters import Stored
from switchboard.base import opened
from switchboard.cli.app import configuration, quiet_logs
from switchboard.cli.output import Json, Limit, Yes, confirmed, emit, err, out, show
from switchboard.repair import discard as discard_
from switchboard.repair import replay as replay_

group = typer.Typer(help="What could not be processed, with its bytes and the reason.", no_args_is_help=True)
Id = Annotated[str, typer.Argument(metavar="ID")]


def _row(stored: Stored) -> dict[str, Any]:
    letter = stored.letter
    place = letter.place
    where = f"{place.topic}:{place.partition}:{place.offset}" if place.topic else f"{place.channel}/{place.account}"
    return {
        "id": letter.id if letter.round == 1 else f"{letter.id}:round:{letter.round}",
        "state": stored.state,
        "reason": letter.reason,
        "detail": letter.detail,
        "place": where,
        "at": letter.at,
        "interaction_id": letter.interaction_id,
        "bytes": len(letter.raw or b"") or letter.dataref,
    }


@group.command("list")
def list_(
    state: Annotated[Literal["open", "replayed", "discarded"] | None, typer.Option()] = None,
    limit: Limit = 50,
    json: Json = False,
) -> None:
    """The latest dead letters."""
    quiet_logs()

    async def work() -> list[Stored]:
        async with opened(configuration(), read_only=True) as base:
            return await base.database.read(lambda conn: dead_letters.listing(conn, state, limit))

    rows = [_row(stored) for stored in asyncio.run(work())]
    columns = ["id", "state", "reason", "detail", "place", "at"]
    show(rows, title="Dead letters", columns=columns, json=json, empty="No dead letters.")


@group.command("show")
def show_(identity: Id, json: Json = False) -> None:
    """One dead letter with its headers and bytes."""
    quiet_logs()

    async def work() -> tuple[Stored | None, bytes | None]:
        async with opened(configuration(), read_only=True) as base:
            stored = await base.database.read(lambda conn: dead_letters.get(conn, identity))
            raw = stored.letter.raw if stored else None
            if stored and stored.letter.dataref:
                raw = await base.store.blobs.get(stored.letter.dataref)
            return stored, raw

    stored, raw = asyncio.run(work())
    if stored is None:
        raise NotFound(f"no dead letter {identity!r}", hint="switchboard dead-letters list")
    headers = [[name, value.decode("utf-8", "backslashreplace")] for name, value in stored.letter.headers]
    text = (raw or b"").decode("utf-8", "backslashreplace")
    if json:
        emit([{**_row(stored), "headers": headers, "raw": text}])
        return
    for key, value in {**_row(stored), **{f"header {k}": v for k, v in headers}}.items():
        out().print(f"{key}: {value}", markup=False, highlight=False)
    out().print(repr(text[:4000])[1:-1], markup=False, highlight=False)


@group.command()
def replay(identity: Id) -> None:
    """Have it decided again, in a new round."""
    quiet_logs()

    async def work() -> str:
        async with opened(configuration()) as base:
            return await replay_(base, identity)

    err.print(asyncio.run(work()))


@group.command()
def discard(identity: Id, yes: Yes = False) -> None:
    """Close it for good: its interaction is closed as canceled."""
    quiet_logs()
    confirmed(f"Discard dead letter {identity}?", yes)

    async def work() -> None:
        async with opened(configuration()) as base:
            await discard_(base, identity)

    asyncio.run(work())
    err.print(f"{identity}: discarded")
