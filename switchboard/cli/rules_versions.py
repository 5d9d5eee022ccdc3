"""`rules publish` and `rules versions`: the policies in the store."""

import asyncio
from datetime import UTC, datetime
from typing import Annotated

import typer

from rules.model import PolicySource
from rules.policy import compile_policy
from rules.problems import did_you_mean
from schemas.errors import ConfigError
from store import policies
from switchboard.base import opened
from switchboard.cli.app import configuration, quiet_logs
from switchboard.cli.output import Json, emit, err, show
from switchboard.cli.rules_inputs import Draft, policy_from
from switchboard.settings import Configuration


def publish(
    version: Annotated[
        str | None, typer.Argument(metavar="[VERSION]", help="A version of `rules versions`, to go back to it.")
    ] = None,
    rules: Draft = None,
    json: Json = False,
) -> None:
    """Make this configuration's policy the active one, for every process: new interactions are decided by it.

    With a VERSION, the one that was active before. Nothing changes unless the whole policy is right.
    """
    quiet_logs()
    # Going back is for when the files are wrong.
    found = configuration(with_policy=version is None)
    now = datetime.now(UTC)
    source = None
    if version is None:
        source = policy_from(rules) if rules else found.policy
        _usable(source, found)

    async def work() -> str:
        async with opened(found) as base:
            if source is not None:
                body = source.to_json()
                await base.database.write(lambda conn: policies.activate(conn, source.version, body, now))
                return source.version
            assert version is not None
            body = await base.database.read(lambda conn: policies.body(conn, version))
            before = PolicySource.from_json(body)
            _usable(before, found)
            await base.database.write(lambda conn: policies.go_back(conn, version, now))
            return version

    active = asyncio.run(work())
    if json:
        emit([{"active": active}])
    else:
        err.print(f"[green]✓[/] {active} is active")
        if version is not None:
            err.print("A start publishes the files again: put them back, too.", soft_wrap=True)


def versions(json: Json = False) -> None:
    """List the versions in the store. `rules publish VERSION` goes back to one."""
    quiet_logs()

    async def work() -> list[policies.Version]:
        async with opened(configuration(with_policy=False), read_only=True) as base:
            return await base.database.read(policies.versions)

    found = [
        {"version": v.version, "active": v.active, "created_at": v.created_at, "activated_at": v.activated_at}
        for v in asyncio.run(work())
    ]
    show(found, title="Policy versions", columns=("version", "active", "created_at", "activated_at"), json=json)


def _usable(policy: PolicySource, found: Configuration) -> None:
    """It can be made ready to decide, and has the queues that the accounts of this configuration name. Raises
    ConfigError."""
    compile_policy(policy)
    missing = [
        f"channels.{channel}.{account}.queue: the policy has no queue {queue!r} ({did_you_mean(queue, policy.queues)})"
        for channel, accounts in found.channels.items()
        for account, settings in accounts.items()
        if (queue := getattr(settings, "queue", None)) is not None and queue not in policy.queues
    ]
    if missing:
        raise ConfigError(missing, hint="nothing was changed: the policy is refused")
