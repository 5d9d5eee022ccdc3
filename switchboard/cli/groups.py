"""The noun groups, added to the application when the command line runs."""

from switchboard.cli import (
    agents,
    channels,
    customers,
    dead_letters,
    deliveries,
    interactions,
    rules,
    schemas,
    system,
    topics,
)
from switchboard.cli.app import app


def register() -> None:
    assert system  # its verbs stand on the application itself
    for name, module in (
        ("topics", topics),
        ("schemas", schemas),
        ("rules", rules),
        ("channels", channels),
        ("agents", agents),
        ("customers", customers),
        ("interactions", interactions),
        ("deliveries", deliveries),
        ("dead-letters", dead_letters),
    ):
        app.add_typer(module.group, name=name)
