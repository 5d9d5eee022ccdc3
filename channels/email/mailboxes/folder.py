"""One folder of a mailbox: found by UID, taken in with batches, and never lost sight of.

The truth is a search for UIDs above the cursor, made when the folder is opened, after each announcement of the server,
and every minute. The cursor moves only when everything below it was accepted, or is not ours.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from channels.email.mailboxes.alarms import AFTER_REFUSED, Alarm
from channels.email.mailboxes.batch import Batch, Taken
from channels.email.mailboxes.connection import TOGETHER, CommandRefused, Connection
from channels.email.mailboxes.wire import Listed, Selected
from channels.email.settings import ImapSettings
from runtime.logs import get_logger
from schemas.errors import TemporaryError
from store import mailboxes
from store.mailboxes import Cursor
from store.store import Store

BATCH = 50
BATCH_BYTES = 8 * 1024 * 1024
SKEW = timedelta(minutes=5)
"""How far a server's clock may differ from ours: mail from around the first look is looked at rather than lost."""

log = get_logger(__name__)


class LeaseLost(TemporaryError):
    """Another process reads this mailbox now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """What belongs together for one folder's sessions. `key` names its lease and its cursor."""

    key: str
    account: str
    folder: str
    settings: ImapSettings
    store: Store
    now: Callable[[], datetime]
    owner: str
    alarm: Alarm
    stop: asyncio.Event
    batch: Callable[[], Batch]
    fine: Callable[[], Awaitable[None]]
    """Called each time that everything has been read."""

    async def session(self, connection: Connection) -> None:
        """Read the folder until `stop` is set. Raises MailboxUnavailable, CommandRefused, StoreUnavailable,
        LeaseLost."""
        poll = self.settings.poll.total_seconds()
        while not self.stop.is_set():
            selected = await connection.select(self.folder)
            await self._catch_up(connection, await self._cursor(connection, selected))
            await self.fine()
            await connection.wait(poll, self.stop)

    async def _cursor(self, connection: Connection, selected: Selected) -> Cursor:
        stored = await self.store.database.read(lambda conn: mailboxes.load(conn, self.key))
        uidnext = selected.uidnext
        if not uidnext:  # RFC 3501 does not force a server to say it
            uidnext = max(await connection.above(0), default=0) + 1
        if stored is not None and stored.validity == selected.validity and stored.position < uidnext:
            return stored
        began = (
            first(self.settings, selected.validity, uidnext, self.now())
            if stored is None
            else anew(stored, selected.validity, uidnext)
        )
        if stored is not None:
            log.warning("the UIDs of a folder count anew: it is read again", mailbox=self.key, mails=selected.exists)
        now = self.now()
        if not await self.store.database.write(
            lambda conn: mailboxes.begin(conn, self.key, began, now, owner=self.owner)
        ):
            raise LeaseLost(f"{self.key}: another process reads it now")
        return began

    async def _catch_up(self, connection: Connection, cursor: Cursor) -> None:
        """Take in all that is above the cursor: while one batch is parsed and accepted, the next one is fetched."""
        uids = await connection.above(cursor.position)
        settling: asyncio.Task[Taken] | None = None
        batch: Batch | None = None
        try:
            for start in range(0, len(uids), TOGETHER):
                some = uids[start : start + TOGETHER]
                known = await connection.listing(some)
                for part in batches(some, known):
                    batch = self.batch()
                    for uid in part:
                        await batch.fetch(connection, uid, known.get(uid), cursor)
                    if settling is not None:
                        await self._settled(connection, cursor, await settling)
                    settling = asyncio.create_task(batch.settle(part[-1]), name=f"{self.key} settle")
                    if self.stop.is_set():
                        break
                if self.stop.is_set():
                    break
            if settling is not None:
                await self._settled(connection, cursor, await settling)
        finally:
            if batch is not None:
                batch.drop()
            if settling is not None and not settling.done():
                settling.cancel()
                await asyncio.gather(settling, return_exceptions=True)

    async def _settled(self, connection: Connection, cursor: Cursor, taken: Taken) -> None:
        """First what becomes of the mails, then the cursor: after a crash in between they are read again, as copies."""
        if taken.uids:
            await self._after(connection, taken.uids)
        now = self.now()
        if not await self.store.database.write(
            lambda conn: mailboxes.advance(conn, self.key, cursor.validity, taken.through, now, owner=self.owner)
        ):
            raise LeaseLost(f"{self.key}: another process reads it now")

    async def _after(self, connection: Connection, uids: Sequence[int]) -> None:
        try:
            if self.settings.after == "seen":
                await connection.seen(uids)
            elif self.settings.after == "move":
                assert self.settings.move_to is not None
                if not await connection.move(uids, self.settings.move_to):
                    await connection.seen(uids)
                    await self.alarm.sound(
                        AFTER_REFUSED, "this server can move no mail safely (neither MOVE nor UIDPLUS): marked as seen"
                    )
        except CommandRefused as error:  # they were taken in, and stay where they are
            await self.alarm.sound(AFTER_REFUSED, f"after: {self.settings.after}: {error}")


def first(settings: ImapSettings, validity: int, uidnext: int, now: datetime) -> Cursor:
    """Where reading begins in a folder that was never read. Pure."""
    there = uidnext - 1
    if settings.first_sync == "new":
        return Cursor(validity=validity, position=there, backfill_to=there, since=now - SKEW)
    since = None if settings.first_sync == "all" else now - settings.first_sync
    return Cursor(validity=validity, position=0, backfill_to=there, since=since)


def anew(stored: Cursor, validity: int, uidnext: int) -> Cursor:
    """Where reading begins when the UIDs count anew: at the first mail, none of those there is answered. Pure."""
    return replace(stored, validity=validity, position=0, backfill_to=uidnext - 1)


def batches(uids: Sequence[int], known: dict[int, Listed]) -> list[list[int]]:
    """`uids` in their order, cut where a batch would be too many or too much. Pure."""
    out: list[list[int]] = [[]]
    size = 0
    for uid in uids:
        more = known[uid].size if uid in known else 0
        if out[-1] and (len(out[-1]) >= BATCH or size + more > BATCH_BYTES):
            out.append([])
            size = 0
        out[-1].append(uid)
        size += more
    return out
