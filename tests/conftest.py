"""Fixtures that every kind of test shares, and the rule about servers that are not there."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from store.database import Database
from store.schema import upgrade
from store.tables import metadata
from tests.kit import kafka, postgres


def need(present: object, what: str) -> None:
    """Skip with the reason when a server is not there; in CI nothing may be skipped."""
    if present:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI must have {what}")
    pytest.skip(f"needs {what}")


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    found = postgres.binaries()
    need(found, "a PostgreSQL server's binaries")
    assert found is not None
    with postgres.server(found) as url:
        yield url


@pytest.fixture(scope="session")
def kafka_server() -> Iterator[str]:
    """host:port of Apache Kafka, started once; `tests.kit.broker.emptied` gives it without records and offsets."""
    need(kafka.named() or kafka.can_run(), kafka.WHAT)
    with kafka.server() as address:
        yield address


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    """An empty, migrated store: each test that asks for it runs on both databases."""
    if request.param == "sqlite":
        db = Database.at("sqlite:///test.db", tmp_path)
    else:
        db = Database.at(request.getfixturevalue("postgres_url"), tmp_path)
    async with db:
        if not db.is_sqlite:
            await db.write(lambda conn: conn.exec_driver_sql("DROP SCHEMA public CASCADE"))
            await db.write(lambda conn: conn.exec_driver_sql("CREATE SCHEMA public"))
        await upgrade(db)
        assert metadata.tables
        yield db
