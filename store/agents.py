"""Agents and their API tokens. Of a token only its SHA-256 is kept; it is shown once, when it is made."""

import hashlib
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, select, update
from sqlalchemy.engine import Connection

from schemas.addresses import compared
from schemas.errors import NotFound, StateConflict
from schemas.text import skill
from store.sql import insert_new
from store.tables import agent_tokens, agents

PREFIX = "sba_"
"""Makes a leaked token recognisable to secret scanners."""


@dataclass(frozen=True, slots=True)
class Agent:
    name: str
    display_name: str
    queues: tuple[str, ...]
    """Names of the queues that this agent serves; () = all."""
    skills: tuple[str, ...]
    enabled: bool
    address: str | None = None
    """Where they write mail from, in lower case."""


def add(
    conn: Connection,
    name: str,
    *,
    display_name: str = "",
    queues: Sequence[str] = (),
    skills: Sequence[str] = (),
    address: str | None = None,
    at: datetime,
) -> Agent:
    """Raises StateConflict if the name or the address is taken."""
    if not insert_new(
        conn,
        agents,
        name=name,
        display_name=display_name or name,
        queues=list(queues),
        skills=list(dict.fromkeys(map(skill, skills))),
        address=compared(address.strip()) if address else None,
        created_at=at,
    ):
        or_one = f", or one with the address {address}" if address else ""
        raise StateConflict(f"there is an agent {name!r} already{or_one}")
    return get(conn, name)


def by_address(conn: Connection, addresses: Iterable[str]) -> dict[str, str]:
    """Address → name, of those of them that enabled agents write from."""
    wanted = sorted({compared(address) for address in addresses if address})
    if not wanted:
        return {}
    found: dict[str, str] = {row.address: row.name for row in conn.execute(_WRITERS, {"wanted": wanted})}
    return found


_WRITERS = select(agents.c.address, agents.c.name).where(
    agents.c.address.in_(bindparam("wanted", expanding=True)), agents.c.enabled
)


def get(conn: Connection, name: str) -> Agent:
    row = conn.execute(select(agents).where(agents.c.name == name)).one_or_none()
    if row is None:
        raise NotFound(f"no agent {name!r}", hint=f"switchboard agents add {name}")
    return _agent(row)


def _agent(row: Any) -> Agent:
    return Agent(row.name, row.display_name, tuple(row.queues), tuple(row.skills), row.enabled, row.address)


def listing(conn: Connection) -> list[Agent]:
    rows = conn.execute(select(agents).order_by(agents.c.name))
    return list(map(_agent, rows))


def disable(conn: Connection, name: str, at: datetime) -> None:
    """No sign-in any more; every token is revoked. Raises NotFound."""
    get(conn, name)
    conn.execute(update(agents).where(agents.c.name == name).values(enabled=False))
    conn.execute(
        update(agent_tokens)
        .where(agent_tokens.c.agent == name, agent_tokens.c.revoked_at.is_(None))
        .values(revoked_at=at)
    )


def new_token() -> str:
    """256 random bits. Made outside the transaction, which may run twice."""
    return PREFIX + secrets.token_urlsafe(32)


def add_token(conn: Connection, name: str, token: str, *, label: str = "", at: datetime) -> None:
    """Raises NotFound, StateConflict for a disabled agent."""
    if not get(conn, name).enabled:
        raise StateConflict(f"agent {name!r} is disabled")
    conn.execute(agent_tokens.insert().values(hash=_hash(token), agent=name, label=label, created_at=at))


def by_token(conn: Connection, token: str) -> Agent | None:
    """The agent that this token belongs to, or None."""
    row = conn.execute(
        select(agents)
        .join(agent_tokens, agent_tokens.c.agent == agents.c.name)
        .where(agent_tokens.c.hash == _hash(token), agent_tokens.c.revoked_at.is_(None), agents.c.enabled)
    ).one_or_none()
    return None if row is None else _agent(row)


def _hash(token: str) -> str:
    # A random 256-bit token needs no slow hash: there is nothing to guess.
    return hashlib.sha256(token.encode()).hexdigest()
