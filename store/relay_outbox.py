"""The outbox as the relay sees it: leases per shard, what is pending, what was confirmed or refused."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from sqlalchemy.engine import Connection

from schemas.dead_letter import DeadLetter, Place
from schemas.outbox import OutboxRow
from schemas.states import InteractionState
from store import dead_letters, leases, ledger, outbox
from store.database import Database


class Clock(Protocol):
    def now(self) -> datetime: ...


class RelayOutbox:
    """Implements the relay's port over the database. `durable`: the broker keeps what it confirmed."""

    def __init__(self, database: Database, clock: Clock, *, shards: int, durable: bool) -> None:
        self._database = database
        self._clock = clock
        self._shards = shards
        self._durable = durable
        self._wake = asyncio.Event()
        database.on_commit(self._wake.set)

    def wake(self) -> asyncio.Event:
        return self._wake

    async def lease(self, owner: str, want: int | None, ttl_s: float) -> dict[int, int]:
        """Shard → epoch for all that `owner` holds now; at most `want` of them."""
        now = self._clock.now()
        until = now + timedelta(seconds=ttl_s)
        names = [f"outbox:{shard}" for shard in range(self._shards)][:want]
        held = await self._database.write(lambda conn: leases.acquire(conn, names, owner, now, until))
        return {int(name.partition(":")[2]): epoch for name, epoch in held.items()}

    async def release(self, owner: str) -> None:
        now = self._clock.now()
        await self._database.write(lambda conn: leases.release(conn, owner, now, "outbox:"))

    async def pending(self, shards: Mapping[int, int], incarnation: str, limit: int) -> list[OutboxRow]:
        return await self._database.read(lambda conn: outbox.pending(conn, list(shards), incarnation, limit))

    async def confirmed(
        self, shards: Mapping[int, int], incarnation: str, rows: Sequence[tuple[OutboxRow, int, int]]
    ) -> None:
        await self._database.write(lambda conn: outbox.confirm(conn, shards, incarnation, rows, durable=self._durable))

    async def refused(self, shards: Mapping[int, int], row: OutboxRow, reason: str) -> None:
        """The broker will never take this row: it becomes a dead letter, and the next ones go on."""
        now = self._clock.now()

        def work(conn: Connection) -> None:
            interaction_id = row.event_id.partition(":")[0] if row.topic == "interactions" else None
            letter = DeadLetter.model_construct(
                id=interaction_id or f"outbox:{row.event_id}",
                conversation_id=row.key,
                interaction_id=interaction_id,
                round=1,
                reason="refused",
                detail=reason,
                place=Place(topic=row.topic),
                headers=row.headers,
                raw=row.value,
                dataref=None,
                media_type="application/json",
                at=now,
            )
            dead_letters.add(conn, letter)
            if interaction_id:
                ledger.move(
                    conn,
                    [interaction_id],
                    InteractionState.DEAD_LETTER,
                    frm=[InteractionState.RECEIVED],
                    actor="relay",
                    at=now,
                    reason="refused",
                )
            outbox.done(conn, [row.event_id])

        await self._database.write(work)
