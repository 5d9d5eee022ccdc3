"""A process may start before what it needs: what it waits for, and what ends it at once, on a real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import yaml
from sqlalchemy import select, text
from sqlalchemy.engine import URL, make_url

from bus.brokers.probe import free_port
from runtime.lifecycle import Lifecycle
from schemas.errors import ConfigError, StoreUnavailable
from store import policies
from store.database import Database
from store.schema import check, current, head, upgrade
from store.tables import policies as policies_table
from switchboard.base import StoreService, make_base
from switchboard.demo.stage import set_up
from switchboard.house import House
from switchboard.settings import Configuration, load
from tests.conftest import need
from tests.kit import postgres
from tests.kit.postgres import Server

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(120)]


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """A PostgreSQL that is not started yet."""
    found = postgres.binaries()
    need(found, postgres.WHAT)
    assert found is not None
    made = await asyncio.to_thread(Server, found)
    yield made
    await asyncio.to_thread(made.clear)


def configured(folder: Path, url: str) -> Configuration:
    stage = set_up(port=0, relay_port=1, folder=folder)
    tree = yaml.safe_load(stage.config.read_text(encoding="utf-8"))
    tree["store"] = {"url": url}
    tree["kafka"] = {"brokers": "127.0.0.1:1"}
    stage.config.write_text(yaml.safe_dump(tree, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return load(stage.config)


class Starting:
    """The store's service of one process, in its life; `tries` counts its pauses."""

    def __init__(self, configuration: Configuration) -> None:
        self.base = make_base(configuration)
        self.paused = asyncio.Event()
        self.lifecycle = Lifecycle(
            [StoreService(self.base, whole=False)], drain_timeout=5, start_timeout=60, pause=self._pause
        )

    def _pause(self, _attempt: int) -> float:
        self.paused.set()
        return 0.05


async def test_several_that_start_before_their_store_wait_and_migrate_it_once(
    tmp_path: Path, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    """`run ROLE` ended at once where PostgreSQL was still starting."""
    url = make_url(server.url).set(password="hush-hush").render_as_string(hide_password=False)
    configuration = configured(tmp_path, url)
    all_of_them = [Starting(configuration) for _ in range(4)]
    starts = [asyncio.create_task(each.lifecycle.start(patient=True)) for each in all_of_them]
    await asyncio.gather(*(each.paused.wait() for each in all_of_them))
    assert {each.lifecycle.waiting_for for each in all_of_them} == {"store"}
    said = capsys.readouterr().out
    assert f"postgresql://127.0.0.1:{server.port}/postgres" in said
    assert "hush-hush" not in said
    await asyncio.to_thread(server.start)
    async with asyncio.timeout(60):
        await asyncio.gather(*starts)
    try:
        database = all_of_them[0].base.database
        # A second migration would have failed on the tables that are there.
        assert await database.read(lambda conn: conn.execute(text("SELECT * FROM alembic_version")).all()) == [
            (head(),)
        ]
        active = select(policies_table.c.version).where(policies_table.c.active)
        assert await database.read(lambda conn: conn.scalars(active).all()) == [configuration.policy.version]
        assert await database.read(policies.active_version) == configuration.policy.version
    finally:
        await asyncio.gather(*(each.lifecycle.stop() for each in all_of_them))


class Asker:
    """A service that asks, at its start and at its drain, whether the process is ready."""

    name = "asker"

    def __init__(self, house: House) -> None:
        self._house = house
        self.answers: list[tuple[int, bool]] = []

    async def ask(self) -> None:
        assert self._house.http is not None
        async with httpx.AsyncClient(base_url=self._house.http.url) as client:
            answer = await client.get("/readyz")
        self.answers.append((answer.status_code, answer.json()["parts"]["started"]))

    async def start(self) -> None:
        await self.ask()

    async def drain(self) -> None:
        await self.ask()

    async def stop(self) -> None:
        """Nothing to do."""


async def test_ready_is_who_has_every_door_open_and_is_not_stopping(tmp_path: Path, postgres_url: str) -> None:
    """/readyz was true before the SMTP door listened, and while the doors were being shut."""
    async with Database.at(postgres_url, tmp_path) as database:
        await postgres.emptied(database)
    house = House(configured(tmp_path / "site", postgres_url), ("channels", "agents", "ops"))
    asker = Asker(house)
    house.lifecycle = Lifecycle([*house.services, asker], drain_timeout=10)
    await house.lifecycle.start()
    await asker.ask()
    report = await house.lifecycle.stop()
    assert report.clean, report
    assert asker.answers == [(503, False), (200, True), (503, False)]


async def test_a_wrong_password_ends_the_start(tmp_path: Path, server: Server) -> None:
    """It ended the start in a traceback."""
    server.want_passwords()
    await asyncio.to_thread(server.start)
    await refused(make_url(server.url).set(password="wrong"), tmp_path, "password authentication failed")


async def test_a_database_that_is_not_there_ends_the_start(tmp_path: Path, postgres_url: str) -> None:
    """It ended the start in a traceback."""
    await refused(make_url(postgres_url).set(database="nowhere"), tmp_path, '"nowhere" does not exist')


async def test_what_the_driver_makes_nothing_of_ends_the_start(tmp_path: Path, postgres_url: str) -> None:
    """It counted as a store that is away, for which a retry helps."""
    await refused(make_url(postgres_url).update_query_dict({"ssl": "perhaps"}), tmp_path, "sslmode")


async def test_a_server_that_is_not_there_may_come(tmp_path: Path) -> None:
    database = Database.at(f"postgresql://sb:hush-hush@127.0.0.1:{free_port()}/postgres", tmp_path)
    with pytest.raises(StoreUnavailable) as caught:
        await database.start()
    assert "hush-hush" not in str(caught.value)
    await database.stop()


async def refused(url: URL, folder: Path, words: str) -> None:
    """At the start, with these words, and with what to do."""
    database = Database.at(url.render_as_string(hide_password=False), folder)
    with pytest.raises(ConfigError, match=f"store.url: .*{words}") as caught:
        await database.start()
    assert "URL" in caught.value.hint
    await database.stop()


async def test_a_schema_of_a_later_version_is_left_alone(database: Database) -> None:
    """It ended the start in a traceback, and was said to be mended by `switchboard migrate`."""
    later = "9999"
    await database.write(lambda conn: conn.execute(text("UPDATE alembic_version SET version_num = '9999'")))
    try:
        for look in (upgrade, check):
            with pytest.raises(ConfigError, match="9999, which this version does not know") as caught:
                await look(database)
            assert "migrate" not in caught.value.hint
        assert await database.read(current) == later
    finally:
        await database.write(
            lambda conn: conn.execute(text("UPDATE alembic_version SET version_num = :now"), {"now": head()})
        )
