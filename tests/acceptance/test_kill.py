"""kill -9 of the whole set-up under load, and of the embedded broker alone: nothing is lost, nobody answered twice."""

import contextlib
import os
import signal
from pathlib import Path

import pytest

from schemas.states import DeliveryState
from store import agents, deliveries
from store.database import Database
from store.schema import upgrade
from switchboard.demo.cast import cast
from switchboard.demo.mail import CustomersMailServer
from switchboard.demo.players import Town
from switchboard.demo.stage import Stage, set_up
from tests.kit.contacts import NOW
from tests.kit.rush import finished, load, written
from tests.kit.town import Process, running

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(240)]


async def prepared(stage: Stage) -> tuple[Database, str]:
    """A migrated store with an agent."""
    token = agents.new_token()
    folder = stage.folder / "data"
    folder.mkdir(mode=0o700)
    database = Database.at("sqlite:///switchboard.db", folder)
    async with database:
        await upgrade(database)
        await database.write(lambda conn: agents.add(conn, "ada", at=NOW))
        await database.write(lambda conn: agents.add_token(conn, "ada", token, at=NOW))
    return Database.at("sqlite:///switchboard.db", folder, read_only=True), token


async def test_kill_9_of_everything_under_load_loses_nothing_and_answers_nobody_twice(tmp_path: Path) -> None:
    mail = CustomersMailServer()
    await mail.start()
    stage = set_up(port=0, relay_port=mail.port, folder=tmp_path / "site")
    database, token = await prepared(stage)
    town = Town(stage.http, stage.smtp_port, stage.calls, mail)
    people = cast()
    process = Process(stage)
    try:
        async with database:
            await process.start()
            async with load([town], people, token):
                for share in (0.3, 0.9):
                    await written(town, people, share)
                    await process.kill()
                    await process.start()
                await finished(database, town, people)
            unknown = await database.read(lambda conn: deliveries.listing(conn, DeliveryState.UNKNOWN, 100))
            ids = {mail["Message-ID"].strip("<>") for mails in mail.mailboxes.values() for mail in mails}
            # An unknown outcome is unknown: it may have arrived or not, and was not tried again.
            assert all(row.attempt == 1 for row in unknown)
            sent = await database.read(lambda conn: deliveries.listing(conn, DeliveryState.SENT, 1000))
            assert {row.provider_id for row in sent if row.channel == "email"} <= ids
        assert await process.stop() == 0
        assert f"ready at {stage.http}\n" in (stage.folder / "run.log").read_text()
    finally:
        with contextlib.suppress(AssertionError, ProcessLookupError):
            await process.kill()
        await mail.stop()


async def test_kill_9_of_the_embedded_broker_three_times_loses_nothing_and_answers_nobody_twice(tmp_path: Path) -> None:
    people = cast()
    async with running(tmp_path / "site") as site, load([site.town], people, site.token):
        for share in (0.2, 0.5, 0.9):
            await written(site.town, people, share)
            pid = site.house.broker.pid  # type: ignore[attr-defined]
            if pid is not None:
                with contextlib.suppress(ProcessLookupError):  # the last one is dead, and not missed yet
                    os.kill(pid, signal.SIGKILL)
        await finished(site.database, site.town, people)
