"""Fixtures that every kind of test shares, and the rule about servers that are not there."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import structlog

from store.database import Database
from store.tables import metadata
from tests.kit import dovecot as dovecot_kit
from tests.kit import kafka, postgres
from tests.kit.dovecot import Dovecot
from tests.kit.oauth_server import OAuthServer

# The library draws a traceback with all its variables if nobody says otherwise: seconds in which no loop turns.
structlog.configure(
    processors=[
        *structlog.get_config()["processors"][:-1],
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
    ]
)

MOST_WORKERS = 6
"""Each has a PostgreSQL, a Kafka and a Dovecot of its own."""


def pytest_xdist_auto_num_workers() -> int:
    """`-n auto`: tests wait more than they compute. Servers that the environment names are for one at a time."""
    if kafka.named() or postgres.named():
        return 1
    return min((os.cpu_count() or 1) + 1, MOST_WORKERS)


def need(present: object, what: str) -> None:
    """Skip with the reason when a server is not there; in CI nothing may be skipped."""
    if present:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI must have {what}")
    pytest.skip(f"needs {what}")


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    if url := postgres.named():
        yield url
        return
    found = postgres.binaries()
    need(found, postgres.WHAT)
    assert found is not None
    with postgres.server(found) as url:
        yield url


@pytest.fixture(scope="session")
def kafka_server() -> Iterator[str]:
    """host:port of Apache Kafka, started once; `tests.kit.broker.emptied` gives it without records and offsets."""
    need(kafka.named() or kafka.can_run(), kafka.WHAT)
    with kafka.server() as address:
        yield address


@pytest.fixture(scope="session")
def oauth_server() -> Iterator[OAuthServer]:
    with OAuthServer() as found:
        yield found


@pytest.fixture(scope="session")
def dovecot(oauth_server: OAuthServer) -> Iterator[Dovecot]:
    """A mail server, started once; each test takes users of its own."""
    found = dovecot_kit.program()
    need(found, dovecot_kit.WHAT)
    assert found is not None
    with dovecot_kit.server(found, f"{oauth_server.url}/tokeninfo?access_token=") as server:
        yield server


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def store_url(request: pytest.FixtureRequest) -> str:
    """A store: each test that asks for it, or for `database`, runs on both databases."""
    return "sqlite:///test.db" if request.param == "sqlite" else str(request.getfixturevalue("postgres_url"))


@pytest.fixture
async def database(store_url: str, tmp_path: Path) -> AsyncIterator[Database]:
    """An empty, migrated store."""
    async with Database.at(store_url, tmp_path) as db:
        await postgres.emptied(db)
        assert metadata.tables
        yield db
