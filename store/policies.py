"""Policy versions: kept as they were, so that any process can decide with the one stamped on an interaction."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, text, update
from sqlalchemy.engine import Connection

from schemas.errors import NotFound
from store.sql import insert_new
from store.tables import policies

_ACTIVE = select(policies.c.version).where(text("policies.active"))  # as the partial index says it


def activate(conn: Connection, version: str, body: bytes, at: datetime) -> None:
    """Keep this version and make it the active one. The caller has checked it wholly before."""
    insert_new(conn, policies, version=version, body=body, created_at=at, active=False)
    conn.execute(update(policies).where(policies.c.active, policies.c.version != version).values(active=False))
    conn.execute(
        update(policies).where(policies.c.version == version, ~policies.c.active).values(active=True, activated_at=at)
    )


def introduce(conn: Connection, version: str, body: bytes, at: datetime) -> str:
    """Activate a version that never was active. One that was, and has been replaced since, stays replaced: a process
    that starts again with an old configuration must not undo what was activated after it. Gives the active version."""
    known = conn.scalar(select(policies.c.activated_at).where(policies.c.version == version))
    if known is None:
        activate(conn, version, body, at)
    return active_version(conn)


def activate_first(conn: Connection, version: str, body: bytes, at: datetime) -> None:
    """Make this version the active one in a store that has none yet. What is active stays so."""
    if conn.scalar(_ACTIVE) is None:
        activate(conn, version, body, at)


def active_version(conn: Connection) -> str:
    """The version that new interactions are stamped with. Raises NotFound before the first activation."""
    version: str | None = conn.scalar(_ACTIVE)
    if version is None:
        raise NotFound("no policy is active", hint="start Switchboard once, which activates the configured policy")
    return version


def body(conn: Connection, version: str) -> bytes:
    """The policy source as JSON. Raises NotFound."""
    found = conn.scalar(select(policies.c.body).where(policies.c.version == version))
    if found is None:
        raise NotFound(f"policy version {version} is not in the store")
    return bytes(found)


@dataclass(frozen=True, slots=True)
class Version:
    version: str
    active: bool
    created_at: datetime
    activated_at: datetime | None


def versions(conn: Connection) -> list[Version]:
    """Every version in the store, the one activated last first."""
    query = select(policies.c.version, policies.c.active, policies.c.created_at, policies.c.activated_at)
    rows = conn.execute(query.order_by(policies.c.activated_at.desc(), policies.c.created_at.desc()))
    return [Version(r.version, r.active, r.created_at, r.activated_at) for r in rows]


def go_back(conn: Connection, version: str, at: datetime) -> None:
    """Make a version that the store knows the active one again. Raises NotFound."""
    activate(conn, version, body(conn, version), at)
