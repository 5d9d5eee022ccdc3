"""The list of commands is read from their source, without importing them."""

import subprocess
import sys

import pytest
import typer

from switchboard.cli import channels, rules
from switchboard.cli.app import app
from switchboard.cli.lazy import summary

GROUPS = {"": app, "channels": channels.group, "rules": rules.group}


@pytest.mark.parametrize("name", GROUPS)
def test_the_list_says_what_each_command_says_of_itself(name: str) -> None:
    group = typer.main.get_group(GROUPS[name])
    context = typer.Context(group)
    loaded = {each: group.get_command(context, each) for each in group.list_commands(context)}
    listing = typer.main.get_group(GROUPS[name])
    listing.get_help(typer.Context(listing))
    for each, command in loaded.items():
        listed = listing.get_command(context, each)
        assert command is not None
        assert listed is not None
        assert listed.get_short_help_str(200) == command.get_short_help_str(200)


def test_a_list_of_commands_loads_no_database() -> None:
    look = "import sys; from switchboard.cli import app; app(['--help'], standalone_mode=False); print(*sys.modules)"
    told = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, timeout=60, check=True).stdout
    assert "dead-letters" in told
    assert "sqlalchemy" not in told.split()


def test_what_says_nothing_of_itself_is_a_mistake() -> None:
    with pytest.raises(LookupError, match="says nothing"):
        summary("switchboard.cli.output")
