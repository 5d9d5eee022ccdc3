"""The JSON Schemas of what flows."""

from pathlib import Path
from typing import Annotated

import typer

from schemas.export import write
from switchboard.cli.output import err

group = typer.Typer(help="The schemas of what flows.", no_args_is_help=True)


@group.command()
def export(
    folder: Annotated[Path, typer.Argument(help="Where to write one file per event type.")] = Path("schemas/json"),
) -> None:
    """Write the JSON Schema of every event type."""
    for path in write(folder):
        err.print(f"wrote {path}")
