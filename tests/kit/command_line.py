"""The command line as a tree of names."""

from typing import Any

import typer

from switchboard.cli.app import app


def verbs() -> dict[str, set[str]]:
    """Every command → its own commands, if it is a group."""
    root: Any = typer.main.get_group(app)
    found: dict[str, set[str]] = {}
    for name in (*root.list_commands(None), "router-process"):
        command = root.get_command(None, name)
        found[name] = set(command.list_commands(None)) if hasattr(command, "list_commands") else set()
    return found
