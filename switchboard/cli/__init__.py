"""The command line: `switchboard VERB` for the whole system, `switchboard NOUNS VERB` for its things."""

import sys

from switchboard.cli.app import app
from switchboard.cli.exits import shown


def run() -> None:
    """Parse, run, and turn errors into one clear message and an exit status."""
    with shown():
        app(prog_name="switchboard")
    sys.exit(0)
