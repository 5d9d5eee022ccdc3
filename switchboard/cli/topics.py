"""Kafka's topics: declared once, applied and checked."""

import asyncio
from typing import Annotated

import typer

from bus import admin
from bus.brokers.local import known_address
from bus.topics import TOPICS
from schemas.errors import ConfigError
from switchboard.cli.app import configuration, quiet_logs
from switchboard.cli.exits import FINDINGS
from switchboard.cli.output import Json, err, show

group = typer.Typer(help="Kafka's topics.", no_args_is_help=True)
Brokers = Annotated[str | None, typer.Option("--brokers", help="Another address than the configured one.")]


def _address(brokers: str | None) -> str:
    found = configuration()
    kafka = found.settings.kafka
    if brokers is None and kafka.kind == "local":
        brokers = known_address(found.data_dir)
        if brokers is None:
            raise ConfigError(["kafka.brokers: the local broker has not been started yet"], hint="switchboard run")
    address = brokers or kafka.brokers
    if ":" not in address:
        raise ConfigError(
            [f"kafka.brokers: {address}: there is no lasting broker to look at"],
            hint="the embedded broker gets its topics at each start; name a cluster with --brokers host:port",
        )
    return address


@group.command()
def apply(brokers: Brokers = None, json: Json = False) -> None:
    """Create what is missing. Refuses to change a topic's number of partitions."""
    quiet_logs()
    address, kafka = _address(brokers), configuration().settings.kafka
    made = asyncio.run(admin.apply(address, TOPICS, kafka.partitions, kafka.replication))
    rows = [{"topic": t.name, "created": t.name in made, "holds": t.holds} for t in TOPICS]
    show(rows, title="Topics", columns=["topic", "created", "holds"], json=json)


@group.command()
def check(brokers: Brokers = None, json: Json = False) -> None:
    """Compare the cluster's topics with the declared ones."""
    quiet_logs()
    findings = asyncio.run(admin.check(_address(brokers), TOPICS, configuration().settings.kafka.partitions))
    rows = [{"topic": f.topic, "finding": f.kind, "detail": f.detail} for f in findings]
    show(rows, title="Findings", columns=["topic", "finding", "detail"], json=json, empty="As declared.")
    if findings:
        err.print("[dim]switchboard topics apply creates what is missing[/]")
        raise typer.Exit(FINDINGS)
