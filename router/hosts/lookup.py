"""The look-up over the store, for the hosts. Reads only."""

from collections.abc import Sequence

from router.policies import PolicyBook
from rules.policy import Policy
from schemas.structs import Facts, Interaction
from store.database import Database
from store.facts import facts_of


class StoreLookup:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._policies = PolicyBook(database)

    async def policies(self, versions: set[str]) -> dict[str, Policy]:
        return await self._policies.get(versions)

    async def facts(self, batch: Sequence[Interaction]) -> dict[str, Facts]:
        if not batch:
            return {}
        return await self._database.read(lambda conn: facts_of(conn, batch))
