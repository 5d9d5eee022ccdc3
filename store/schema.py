"""Bringing the database to the schema that this version of the code expects."""

from pathlib import Path

from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import func, select
from sqlalchemy.engine import Connection

from schemas.errors import ConfigError
from store.database import Database

_LOCK = 0x5B0A2D  # any number, as long as nobody else in this database uses it for something else
MIGRATIONS = Path(__file__).parent / "migrations"


def _config(conn: Connection | None = None) -> AlembicConfig:
    config = AlembicConfig()
    config.set_main_option("script_location", str(MIGRATIONS))
    if conn is not None:
        config.attributes["connection"] = conn
    return config


def head() -> str:
    """The newest revision that this code knows."""
    return ScriptDirectory.from_config(_config()).get_current_head() or ""


def current(conn: Connection) -> str | None:
    """The revision that the database is at; None for an empty one."""
    return MigrationContext.configure(conn).get_current_revision()


def _upgrade(conn: Connection) -> tuple[str | None, str]:
    if conn.dialect.name == "postgresql":  # of several processes that start together, one migrates; the others wait
        conn.execute(select(func.pg_advisory_xact_lock(_LOCK)))
    before = current(conn)
    _refuse_newer(before)
    command.upgrade(_config(conn), "head")
    return before, head()


def _refuse_newer(found: str | None) -> None:
    """Raises ConfigError where a later version of the code has been at work: what its schema means, it alone knows."""
    ours = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if found is not None and found not in ours:
        raise ConfigError(
            [f"the store is at schema revision {found}, which this version does not know: a newer one has been here"],
            hint="run the newer version, or restore the backup from before it",
        )


async def upgrade(database: Database) -> tuple[str | None, str]:
    """Migrate in one transaction. Returns (revision before, revision after). Raises ConfigError for a newer schema."""
    return await database.write(_upgrade)


async def check(database: Database) -> None:
    """Raises ConfigError when the database is not at this code's revision."""
    found = await database.read(current)
    _refuse_newer(found)
    if found != head():
        raise ConfigError(
            [f"the store is at schema revision {found or 'none'}, this version needs {head()}"],
            hint="switchboard migrate",
        )
