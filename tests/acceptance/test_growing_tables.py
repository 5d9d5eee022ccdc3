"""What runs all the time must not get slower with every interaction that there ever was."""

import asyncio
from pathlib import Path

import aiohttp
import pytest

from store.tables import metadata
from switchboard import QueueConsumer
from switchboard.demo.cast import cast
from switchboard.demo.players import play, write_calls
from tests.kit.plans import watched
from tests.kit.town import running

pytestmark = pytest.mark.acceptance

SMALL = {"leases", "policies", "agents", "agent_tokens", "broker_log", "broker_lives", "refusals", "mailboxes", "holds"}
"""A row for each process, version, agent, partition, day or account."""
SUMS = ("FROM acceptances GROUP BY acceptances.channel", "FROM interactions GROUP BY interactions.channel")
"""The ledger's sum, which is asked for by people."""


async def test_no_statement_of_the_pipeline_reads_a_growing_table_whole(tmp_path: Path) -> None:
    """SQLite looked through all that was ever published for each pass of the relay: `done = 0` is not what the partial
    index says, which is `NOT done`. How many work items a conversation had was counted without any index."""
    growing = {table.name for table in metadata.sorted_tables} - SMALL
    partial = frozenset(
        str(index.name)
        for table in metadata.sorted_tables
        for index in table.indexes
        if index.dialect_options["sqlite"]["where"] is not None
    )
    people = cast()
    some = [next(each for each in people if each.channel == channel and each.due) for channel in ("email", "chat")]
    some += [people[12], next(each for each in people if each.channel == "web_form")]  # the first: out of office
    with watched(partial=partial) as plans:
        async with running(tmp_path / "site") as site, aiohttp.ClientSession() as session:
            playing = asyncio.gather(*(play(each, site.town, session) for each in some), return_exceptions=True)
            await write_calls([next(each for each in people if each.channel == "phone_log")], site.town)
            done = 0
            async with asyncio.timeout(60), QueueConsumer(site.stage.http, site.token) as queue:
                while done < 2:
                    if (item := await queue.next()) is not None:
                        await (item.complete() if item.channel == "phone_log" else item.complete("Yes."))
                        done += 1
            await playing
    assert len(plans.scans) > 60, "the pipeline ran"
    slow = sorted(each for each in plans.of(*growing) if not any(part in " ".join(each.split()) for part in SUMS))
    assert not slow, "\n".join(slow)
