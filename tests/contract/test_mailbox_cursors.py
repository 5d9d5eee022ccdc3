"""The cursor of a mailbox: forward only, under one UIDVALIDITY, and moved by whoever holds the lease alone."""

from datetime import timedelta

from store import leases, mailboxes
from store.database import Database
from store.mailboxes import Cursor
from tests.kit.contacts import NOW

KEY = "mailbox:help/INBOX"
BEGUN = Cursor(validity=7, position=3, backfill_to=3, since=NOW)


async def position(database: Database) -> int:
    found = await database.read(lambda c: mailboxes.load(c, KEY))
    assert found is not None
    return found.position


async def test_it_moves_forward_only_and_only_under_its_validity(database: Database) -> None:
    assert await database.read(lambda c: mailboxes.load(c, KEY)) is None
    assert not await database.write(lambda c: mailboxes.advance(c, KEY, 7, 9, NOW)), "there is none yet"
    assert await database.write(lambda c: mailboxes.begin(c, KEY, BEGUN, NOW))
    assert await database.read(lambda c: mailboxes.load(c, KEY)) == BEGUN
    assert await database.write(lambda c: mailboxes.advance(c, KEY, 7, 9, NOW))
    assert await database.write(lambda c: mailboxes.advance(c, KEY, 7, 5, NOW))
    assert await position(database) == 9
    assert not await database.write(lambda c: mailboxes.advance(c, KEY, 8, 20, NOW))
    assert await position(database) == 9
    assert await database.write(lambda c: mailboxes.begin(c, KEY, Cursor(validity=8, position=0), NOW))
    assert await position(database) == 0


async def test_whoever_has_lost_the_lease_moves_nothing(database: Database) -> None:
    until = NOW + timedelta(seconds=30)
    await database.write(lambda c: leases.acquire(c, [KEY], "one", NOW, until))
    assert await database.write(lambda c: mailboxes.begin(c, KEY, BEGUN, NOW, owner="one"))
    later = until + timedelta(seconds=1)
    await database.write(lambda c: leases.acquire(c, [KEY], "two", later, later + timedelta(seconds=30)))
    assert not await database.write(lambda c: mailboxes.advance(c, KEY, 7, 9, later, owner="one"))
    assert not await database.write(lambda c: mailboxes.begin(c, KEY, Cursor(validity=8, position=0), NOW, owner="one"))
    assert await position(database) == 3
    assert await database.write(lambda c: mailboxes.advance(c, KEY, 7, 9, later, owner="two"))
