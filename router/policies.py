"""Compiled policies by version, fetched from the store when first needed: every process decides alike."""

import asyncio
from collections.abc import Iterable

from rules.model import PolicySource
from rules.policy import Policy, compile_policy
from store import policies
from store.database import Database

KEEP = 16


class PolicyBook:
    """A version never changes, so what was compiled once is kept (the newest `KEEP`)."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[str, Policy] = {}

    async def get(self, versions: Iterable[str]) -> dict[str, Policy]:
        """Version → policy. Raises StoreUnavailable, NotFound."""
        found = {}
        for version in set(versions):
            if version not in self._known:
                body = await self._database.read(lambda conn, v=version: policies.body(conn, v))  # type: ignore[misc]
                # Ten thousand rules take seconds, in which the process has others to serve.
                self._known[version] = await asyncio.to_thread(_ready, body)
                while len(self._known) > KEEP:
                    self._known.pop(next(iter(self._known)))
            found[version] = self._known[version]
        return found


def _ready(body: bytes) -> Policy:
    return compile_policy(PolicySource.from_json(body))
