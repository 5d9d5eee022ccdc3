"""Reading a mailbox whose server behaves as servers do on bad days."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from channels.email.mailboxes import connection as connection_
from channels.email.mailboxes import service as service_
from channels.email.mailboxes.connection import Connection, MailboxUnavailable, Secret
from channels.email.settings import ImapSettings
from store import mailboxes
from store.mailboxes import Cursor
from store.tables import dead_letters, interactions, outbox
from tests.kit.edge import Edge, edge
from tests.kit.imap_script import ImapScript
from tests.kit.mails import mail

KEY = "mailbox:help/INBOX"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_, "BACKOFF_CAP_S", 0.2)
    for name in ("COMMAND_TIMEOUT_S", "SEARCH_TIMEOUT_S", "IDLE_START_TIMEOUT_S"):
        monkeypatch.setattr(connection_, name, 2.0)


@pytest.fixture
async def server() -> AsyncIterator[ImapScript]:
    async with ImapScript() as found:
        yield found


@asynccontextmanager
async def site(folder: Path, server: ImapScript, **imap: Any) -> AsyncIterator[Edge]:
    account = {"address": "help@shop.example", "imap": server.settings(**{"first_sync": "all", "poll": "1s", **imap})}
    async with edge(folder, {"email": {"help": account}}) as found:
        yield found


async def at(site: Edge, position: int) -> Cursor:
    async with asyncio.timeout(20):
        while True:
            found = await site.database.read(lambda c: mailboxes.load(c, KEY))
            if found is not None and found.position >= position:
                return found
            await asyncio.sleep(0.02)


async def kept(site: Edge) -> dict[str, Any]:
    rows = await site.database.read(lambda c: c.execute(select(interactions)).all())
    return {row.body["native_id"].partition("@")[0]: row for row in rows}


async def opened(server: ImapScript, folder: Path) -> Connection:
    connection = Connection(ImapSettings.model_validate(server.settings()), folder)
    await connection.open("me", Secret("secret"))
    await connection.select("INBOX")
    return connection


async def test_the_last_mail_that_a_search_always_gives_is_not_taken_for_a_new_one(
    server: ImapScript, tmp_path: Path
) -> None:
    server.mails = {3: mail("three"), 5: mail("five")}
    connection = await opened(server, tmp_path)
    assert await connection.above(0) == [3, 5]
    assert await connection.above(3) == [5]
    assert await connection.above(5) == []
    await connection.close()


async def test_a_uid_that_has_vanished_is_passed_over(server: ImapScript, tmp_path: Path) -> None:
    server.mails = {n: mail(f"m{n}") for n in (1, 2, 3)}
    server.vanish = {2, 3}
    async with site(tmp_path, server) as found:
        assert (await at(found, 3)).position == 3
        assert set(await kept(found)) == {"m1"}


async def test_a_mail_that_vanishes_half_way_is_not_taken_in_cut_short(
    server: ImapScript, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_, "PART_BYTES", 1000)
    server.mails = {1: mail("one", text="x" * 5000), 2: mail("two", text="x" * 5000)}
    server.half = {1}
    async with site(tmp_path, server) as found:
        await at(found, 2)
        assert list(await kept(found)) == ["two"]


async def test_a_server_that_does_not_say_its_next_uid(server: ImapScript, tmp_path: Path) -> None:
    server.mails, server.says_uidnext = {4: mail("four")}, False
    async with site(tmp_path, server, first_sync="new") as found:
        assert (await at(found, 4)).position == 4
        server.mails[9] = mail("nine")
        await at(found, 9)
        assert set(await kept(found)) == {"nine"}


async def test_a_server_without_idle_is_asked_again_and_again(server: ImapScript, tmp_path: Path) -> None:
    server.capabilities = "IMAP4rev1"
    async with site(tmp_path, server) as found:
        await at(found, 0)
        server.mails[1] = mail("one")
        await at(found, 1)
        assert "IDLE" not in server.commands


async def test_a_mail_that_the_server_cannot_give_is_held_and_keeps_nobody_waiting(
    server: ImapScript, tmp_path: Path
) -> None:
    server.mails = {n: mail(f"m{n}") for n in (1, 2, 3)}
    server.unreadable = {2}
    async with site(tmp_path, server) as found:
        await at(found, 3)
        rows = await kept(found)
        assert {key: row.state for key, row in rows.items()} == {"m1": "received", "m2": "held", "m3": "received"}
        assert rows["m2"].reason == "unreadable"


async def test_a_mail_that_is_larger_than_the_server_said_is_not_read_to_its_end(
    server: ImapScript, tmp_path: Path
) -> None:
    server.mails, server.sizes = {1: mail("one", text="x" * 100_000)}, {1: 500}
    async with site(tmp_path, server, max_bytes=2000) as found:
        await at(found, 1)
        assert (await kept(found))["one"].reason == "too_large"


async def test_uids_below_the_cursor_under_the_same_uidvalidity_are_read_anew(
    server: ImapScript, tmp_path: Path
) -> None:
    """A restored backup may do that. The standard forbids it; mail would never have been seen."""
    server.mails = {n: mail(f"m{n}") for n in range(1, 9)}
    async with site(tmp_path, server) as found:
        await at(found, 8)
        server.mails = {1: mail("m1"), 2: mail("other")}
        async with asyncio.timeout(20):
            while "other" not in await kept(found):
                await asyncio.sleep(0.05)
        assert len(await kept(found)) == 9


@pytest.mark.parametrize("fault", ["hang_up", "silent"])
async def test_wherever_a_server_hangs_up_or_falls_silent_the_mail_comes_later(
    server: ImapScript, tmp_path: Path, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("COMMAND_TIMEOUT_S", "SEARCH_TIMEOUT_S", "IDLE_START_TIMEOUT_S"):
        monkeypatch.setattr(connection_, name, 0.4)
    async with site(tmp_path, server, after="seen") as found:
        for uid, command in enumerate(["LOGIN", "SELECT", "UID SEARCH", "UID FETCH", "UID STORE", "IDLE"], start=1):
            server.commands.clear()
            server.faults[command] = fault
            server.mails[uid] = mail(f"m{uid}")
            server.hang_up()
            async with asyncio.timeout(20):
                while sum(each.startswith(command) for each in server.commands) < 2:  # it was tried again
                    await asyncio.sleep(0.02)
            del server.faults[command]
            await at(found, uid)
        assert len(await kept(found)) == 6


async def test_a_command_that_is_refused_for_good_is_told_to_a_person(server: ImapScript, tmp_path: Path) -> None:
    server.mails, server.faults = {1: mail("one")}, {"UID STORE": "NO not here"}
    async with site(tmp_path, server, after="seen") as found:
        await at(found, 1)
        server.mails[2] = mail("two")
        await at(found, 2)
        server.mails[3] = mail("three")
        await at(found, 3)
        query = select(outbox.c.value).where(outbox.c.topic == "notifications")
        (alarm,) = await found.database.read(lambda c: c.scalars(query).all())
        assert b"mailbox.after_refused" in alarm, "once, and it is not over because other mail can be read"
        assert set(await kept(found)) == {"one", "two", "three"}, "they were taken in all the same"


async def test_a_mail_that_accept_cannot_bear_is_set_aside_and_the_next_one_is_not_delayed(
    server: ImapScript, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.mails = {1: mail("poison"), 2: mail("two")}
    async with site(tmp_path, server, first_sync="new", poll="1s") as found:
        await at(found, 2)
        accept = found.intake.accept

        async def fails(arrival: Any, now: Any) -> Any:
            if b"poison" in arrival.raw:
                raise RuntimeError("a bug")
            return await accept(arrival, now)

        monkeypatch.setattr(found.intake, "accept", fails)
        server.mails |= {3: mail("poison"), 4: mail("four")}
        await at(found, 4)
        letters = await found.database.read(lambda c: c.execute(select(dead_letters)).all())
        assert [letter.raw for letter in letters] == [mail("poison")]
        assert (await found.balance()).balanced


async def test_a_connection_that_a_call_was_cut_off_in_is_never_used_again(server: ImapScript, tmp_path: Path) -> None:
    """aioimaplib would let every later command of the same kind wait for the one that nobody waits for any more."""
    connection = await opened(server, tmp_path)
    server.faults["UID SEARCH"] = "silent"
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await connection.above(0)
    del server.faults["UID SEARCH"]
    with pytest.raises(MailboxUnavailable, match="hung up"):  # at once, not after another timeout
        await connection.above(0)
    await connection.close()
