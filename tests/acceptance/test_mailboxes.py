"""Mailboxes on a real mail server (Dovecot, IMAPS): found, taken in once, and never lost, whatever breaks."""

import asyncio
import itertools
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import func, select
from sqlalchemy.engine import Connection as StoreConnection

from channels.email.mailboxes import connection as connection_
from channels.email.mailboxes import folder as folder_
from channels.email.mailboxes import service as service_
from channels.email.mailboxes.connection import Connection, MailboxUnavailable, Secret, SignInRefused
from channels.email.mailboxes.service import Mailboxes
from channels.email.oauth import TokenFile
from channels.email.settings import ImapSettings
from schemas.codec import decode
from schemas.notification import Notification
from store import mailboxes
from store.database import Database
from store.tables import acceptances, interactions, outbox, payloads
from tests.kit.dovecot import Dovecot
from tests.kit.edge import Edge, edge
from tests.kit.mails import mail
from tests.kit.oauth_server import OAuthServer

pytestmark = pytest.mark.acceptance
_users = itertools.count(1)


@pytest.fixture
def user() -> str:
    return f"user{next(_users)}"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_, "BACKOFF_CAP_S", 0.4)
    monkeypatch.setattr(service_, "SIGN_IN_CAP_S", 0.4)


@asynccontextmanager
async def site(
    folder: Path, imap: dict[str, Any], *, more: dict[str, Any] | None = None, **how: Any
) -> AsyncIterator[Edge]:
    accounts = {"help": {"address": "help@shop.example", "imap": imap}, **(more or {})}
    async with edge(folder, {"email": accounts}, **how) as found:
        yield found


async def until(check: Callable[[], Any], timeout: float = 20.0) -> Any:
    """Wait until `check` (a coroutine function) gives something true."""
    async with asyncio.timeout(timeout):
        while not (found := await check()):
            await asyncio.sleep(0.05)
        return found


async def ready(site: Edge, key: str = "mailbox:help/INBOX") -> mailboxes.Cursor:
    """Wait until the folder has been looked at, and `fine` was called."""

    async def looked() -> mailboxes.Cursor | None:
        up = b'switchboard_mailbox_up{account="help",folder="INBOX"} 1.0' in site.context.metrics.render()
        return await site.database.read(lambda c: mailboxes.load(c, key)) if up else None

    found = await until(looked)
    assert isinstance(found, mailboxes.Cursor)
    return found


async def accepted(site: Edge, count: int, timeout: float = 20.0) -> list[dict[str, Any]]:
    """Wait until so many were accepted, no more; the interactions in their order."""

    async def enough() -> bool:
        return await site.accepted("email") >= count

    await until(enough, timeout)
    query = select(interactions.c.body, interactions.c.state).order_by(interactions.c.accepted_at)
    rows = await site.database.read(lambda c: c.execute(query).all())
    assert len(rows) == count
    assert (await site.balance()).balanced
    return [{**row.body, "state": row.state} for row in rows]


async def copies(site: Edge) -> int:
    return (await site.balance()).total.copies


async def position(site: Edge, at_least: int) -> mailboxes.Cursor:
    async def there() -> mailboxes.Cursor | None:
        found = await site.database.read(lambda c: mailboxes.load(c, "mailbox:help/INBOX"))
        return found if found is not None and found.position >= at_least else None

    found = await until(there)
    assert isinstance(found, mailboxes.Cursor)
    return found


async def test_the_first_start_takes_only_new_mail_and_a_push_brings_it_at_once(
    dovecot: Dovecot, tmp_path: Path, user: str
) -> None:
    dovecot.drop(user, [mail("old")])
    async with site(tmp_path, dovecot.settings(user, poll="9m")) as found:
        assert (await ready(found)).position == 1
        await asyncio.to_thread(dovecot.deliver, user, mail("new", subject="smile :) 5 * 3 (x"))
        (only,) = await accepted(found, 1)
        assert only["subject"] == "smile :) 5 * 3 (x"
        assert only["native_id"] == "new@example.org"
        assert only["flags"] == []
        assert (await position(found, 2)).position == 2


async def test_a_first_start_that_takes_all_answers_none_and_dates_each_by_its_arrival(
    dovecot: Dovecot, tmp_path: Path, user: str
) -> None:
    dovecot.drop(user, [mail("old")], arrived=1_700_000_000)
    async with site(tmp_path, dovecot.settings(user, first_sync="all")) as found:
        (old,) = await accepted(found, 1)
        assert old["flags"] == ["backfill"]
        assert datetime.fromisoformat(old["received_at"]) == datetime.fromtimestamp(1_700_000_000, UTC)
        await ready(found)
        await asyncio.to_thread(dovecot.deliver, user, mail("new"))
        assert (await accepted(found, 2))[1]["flags"] == []


async def test_a_first_start_may_take_what_came_within_some_days(dovecot: Dovecot, tmp_path: Path, user: str) -> None:
    dovecot.drop(user, [mail("older")], arrived=time.time() - 9 * 86_400)
    dovecot.drop(user, [mail("newer")], arrived=time.time() - 86_400)
    async with site(tmp_path, dovecot.settings(user, first_sync="7d")) as found:
        (only,) = await accepted(found, 1)
        assert only["native_id"] == "newer@example.org"
        assert (await position(found, 2)).position == 2


async def test_what_came_during_days_of_outage_is_taken_in_afterwards(
    dovecot: Dovecot, tmp_path: Path, user: str
) -> None:
    imap = dovecot.settings(user)
    async with site(tmp_path, imap) as found:
        await ready(found)
    dovecot.drop(user, [mail(f"m{n}") for n in range(130)], arrived=time.time() - 3 * 86_400)
    async with site(tmp_path, imap, keep=True) as found:
        await accepted(found, 130)
        assert (await position(found, 130)).position == 130
        assert await copies(found) == 0


async def test_a_box_of_6000_mails_is_looked_through_quickly_and_mail_in_a_large_one_found(
    dovecot: Dovecot, tmp_path: Path, user: str
) -> None:
    """A listing of 6,000 lines would end the library in a RecursionError."""
    dovecot.drop(user, [mail(f"m{n}") for n in range(6000)], arrived=time.time() - 9 * 86_400)
    dovecot.drop(user, [mail("late")], arrived=time.time() - 86_400)
    async with site(tmp_path, dovecot.settings(user, first_sync="7d")) as found:
        (only,) = await accepted(found, 1, timeout=60)
        assert only["native_id"] == "late@example.org"
        assert (await position(found, 6001)).position == 6001


async def test_a_server_that_hangs_up_in_idle_is_called_again(dovecot: Dovecot, tmp_path: Path, user: str) -> None:
    async with site(tmp_path, dovecot.settings(user, poll="9m")) as found:
        await ready(found)
        await asyncio.to_thread(dovecot.deliver, user, mail("one"))
        await accepted(found, 1)
        assert dovecot.hang_up() >= 1
        await asyncio.to_thread(dovecot.deliver, user, mail("two"))
        await accepted(found, 2)


async def test_a_frozen_server_is_given_up_and_its_mail_found_when_it_thaws(
    dovecot: Dovecot, tmp_path: Path, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CONNECT_TIMEOUT_S", "COMMAND_TIMEOUT_S", "SEARCH_TIMEOUT_S", "IDLE_START_TIMEOUT_S"):
        monkeypatch.setattr(connection_, name, 1.0)
    async with site(tmp_path, dovecot.settings(user, poll="1s")) as found:
        await ready(found)
        dovecot.freeze()
        try:

            async def given_up() -> bool:
                return b'mailbox_up{account="help",folder="INBOX"} 0.0' in found.context.metrics.render()

            await until(given_up)
        finally:
            dovecot.thaw()
        await asyncio.to_thread(dovecot.deliver, user, mail("after"))
        await accepted(found, 1)


async def test_the_same_mail_in_two_mailboxes_with_other_trace_headers_is_one(
    dovecot: Dovecot, tmp_path: Path, user: str
) -> None:
    second = {"address": "sales@shop.example", "imap": dovecot.settings(f"{user}b")}
    async with site(tmp_path, dovecot.settings(user), more={"sales": second}) as found:
        await ready(found)
        await until(lambda: found.database.read(lambda c: mailboxes.load(c, "mailbox:sales/INBOX")))
        first = mail("same", trace="Received: from a by mx1; Wed, 4 Mar 2026 10:00:00 +0000\r\n")
        other = mail("same", trace="Delivered-To: sales@shop.example\r\nReceived: from b by mx2; x\r\nX-Spam: 1\r\n")
        for to, raw in ((user, first), (f"{user}b", other), (user, other)):
            await asyncio.to_thread(dovecot.deliver, to, raw)

        async def all_seen() -> bool:
            return await copies(found) == 2

        await until(all_seen)
        await accepted(found, 1)
        paths = await found.database.read(lambda c: c.scalar(select(acceptances.c.paths)))
        assert paths == ["help", "sales"]


async def test_when_the_uids_count_anew_all_is_read_again_and_nothing_is_new_twice(
    dovecot: Dovecot, tmp_path: Path, user: str
) -> None:
    imap = dovecot.settings(user)
    dovecot.drop(user, [mail("never-ours")], arrived=time.time() - 86_400)
    async with site(tmp_path, imap) as found:
        before = await ready(found)
        for key in ("one", "two"):
            await asyncio.to_thread(dovecot.deliver, user, mail(key))
        await accepted(found, 2)
        await position(found, 3)
    dovecot.renumber(user)
    dovecot.drop(user, [mail("meanwhile")])
    async with site(tmp_path, imap, keep=True) as found:
        bodies = await accepted(found, 3)
        assert bodies[2]["native_id"] == "meanwhile@example.org"
        assert bodies[2]["flags"] == ["backfill"], "no machine answers it: a person does"
        assert await copies(found) == 2
        after = await ready(found)
        assert after.validity != before.validity
        await asyncio.to_thread(dovecot.deliver, user, mail("new"))
        assert (await accepted(found, 4))[3]["flags"] == []


async def test_while_the_store_is_away_the_cursor_stands_still(dovecot: Dovecot, tmp_path: Path, user: str) -> None:
    async with site(tmp_path, dovecot.settings(user, poll="1s")) as found:
        await ready(found)
        found.intake.away = True
        dovecot.drop(user, [mail(f"m{n}") for n in range(5)])

        async def given_up() -> bool:
            return b'mailbox_up{account="help",folder="INBOX"} 0.0' in found.context.metrics.render()

        await until(given_up)
        cursor = await found.database.read(lambda c: mailboxes.load(c, "mailbox:help/INBOX"))
        assert cursor is not None
        assert cursor.position == 0
        found.intake.away = False
        await accepted(found, 5)


@pytest.mark.parametrize("after", ["seen", "move"])
async def test_what_becomes_of_a_mail_that_was_taken_in(
    dovecot: Dovecot, tmp_path: Path, user: str, after: str
) -> None:
    dovecot.drop(user, [mail("before")])
    dovecot.drop(user, [], folder="Taken &- Done")  # & is written &- in folder names
    more = {"move_to": "Taken & Done"} if after == "move" else {}
    async with site(tmp_path, dovecot.settings(user, after=after, **more)) as found:
        await ready(found)
        await asyncio.to_thread(dovecot.deliver, user, mail("one"))
        await accepted(found, 1)
        await position(found, 2)
    if after == "move":
        assert len(dovecot.files(user)) == 1, "what was never ours stays"
        assert len(dovecot.files(user, "Taken &- Done")) == 1
    else:
        assert sorted(":2,S" in path.name for path in dovecot.files(user)) == [False, True]


@pytest.mark.parametrize("missing", [["MOVE"], ["MOVE", "UIDPLUS"]])
async def test_a_server_that_can_move_nothing_safely_loses_nothing(
    dovecot: Dovecot, tmp_path: Path, user: str, missing: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Connection, "can", lambda self, word: word not in missing and self._client.has_capability(word))
    dovecot.drop(user, [], folder="Done")
    dovecot.drop(user, [mail("deleted by a colleague")])
    async with site(tmp_path, dovecot.settings(user, after="move", move_to="Done")) as found:
        await ready(found)
        colleague = await Connection(ImapSettings(**dovecot.settings(user)), tmp_path).open(user, Secret("secret"))
        await colleague.select("INBOX")
        await colleague._client.protocol.store("1", r"+FLAGS (\Deleted)", by_uid=True)
        await colleague.close()
        await asyncio.to_thread(dovecot.deliver, user, mail("one"))
        await accepted(found, 1)
        await position(found, 2)
    moved = "UIDPLUS" not in missing
    assert len(dovecot.files(user, "Done")) == moved
    assert len(dovecot.files(user)) == 2 - moved, "the colleague's mail is never expunged by us"


async def test_a_mail_over_the_limit_is_held_with_its_header_and_a_large_one_arrives_byte_for_byte(
    dovecot: Dovecot, tmp_path: Path, user: str
) -> None:
    async with site(tmp_path, dovecot.settings(user, max_bytes=4_000_000)) as found:
        await ready(found)
        large = mail("large", text="0123456789 (*\r\n" * 200_000)
        dovecot.drop(user, [large])
        dovecot.drop(user, [mail("huge", text="0123456789 (*\r\n" * 300_000), mail("small")])
        by_key = {body["native_id"].partition("@")[0]: body for body in await accepted(found, 3)}
        assert {key: body["state"] for key, body in by_key.items()} == {
            "large": "received",
            "huge": "held",
            "small": "received",
        }
        assert by_key["huge"]["flags"] == ["too_large"]
        assert by_key["huge"]["sender"]["address"] == "ann@example.org"
        assert "UID" in by_key["huge"]["text"]
        rows = await found.database.read(lambda c: c.execute(select(payloads)).all())
        kept = {row.interaction_id: row for row in rows}
        assert await found.context.store.blobs.get(kept[by_key["large"]["id"]].dataref) == large
        assert kept[by_key["huge"]["id"]].raw.startswith(b"From: Ann")
        assert kept[by_key["huge"]["id"]].media_type == "message/rfc822-headers"


async def test_a_mail_over_the_limit_stays_where_its_note_says_that_it_is(
    dovecot: Dovecot, tmp_path: Path, user: str
) -> None:
    """It was moved away with the others."""
    dovecot.drop(user, [], folder="Done")
    settings = dovecot.settings(user, max_bytes=100_000, after="move", move_to="Done")
    async with site(tmp_path, settings) as found:
        await ready(found)
        dovecot.drop(user, [mail("huge", text="0123456789\r\n" * 30_000), mail("small")])
        await accepted(found, 2)
        await position(found, 2)
    assert len(dovecot.files(user, "Done")) == 1
    (left,) = dovecot.files(user)
    assert left.stat().st_size > 100_000


async def test_a_blocked_senders_mail_stays_in_the_mailbox_and_is_counted(
    dovecot: Dovecot, tmp_path: Path, user: str
) -> None:
    account = {"address": "help@shop.example", "blocked": ["spam.example"], "imap": dovecot.settings(user)}
    async with edge(tmp_path, {"email": {"help": account}}) as found:
        await ready(found)
        await asyncio.to_thread(dovecot.deliver, user, mail("spam", sender="a@mail.spam.example"))
        await asyncio.to_thread(dovecot.deliver, user, mail("ham"))
        (only,) = await accepted(found, 1)
        assert only["native_id"] == "ham@example.org"
        assert (await found.balance()).total.refused == 1
        await position(found, 2)


async def test_several_folders_with_names_in_any_script(dovecot: Dovecot, tmp_path: Path, user: str) -> None:
    dovecot.drop(user, [], folder="Entw&APw-rfe")
    async with site(tmp_path, dovecot.settings(user, folders=["INBOX", "Entwürfe"])) as found:
        await ready(found)
        await until(lambda: found.database.read(lambda c: mailboxes.load(c, "mailbox:help/Entwürfe")))
        dovecot.drop(user, [mail("one")], folder="Entw&APw-rfe")
        await asyncio.to_thread(dovecot.deliver, user, mail("two"))
        await accepted(found, 2)


async def alarms(site: Edge) -> list[Notification]:
    rows = await site.database.read(lambda c: c.execute(select(outbox).where(outbox.c.topic == "notifications")).all())
    found = [decode(tuple((name, value.encode()) for name, value in row.headers), row.value) for row in rows]
    assert all(isinstance(one, Notification) for one in found)
    return [one for one in found if isinstance(one, Notification)]


async def test_a_revoked_token_raises_one_alarm_and_the_mailbox_is_read_again_after_the_next_sign_in(
    dovecot: Dovecot, oauth_server: OAuthServer, tmp_path: Path, user: str
) -> None:
    address = f"{user}@shop.example"
    file = TokenFile(tmp_path, "help")
    file.save(oauth_server.refresh_token(address))
    async with site(tmp_path, dovecot.settings(address, oauth=oauth_server.settings(), poll="1s")) as found:
        await ready(found)
        oauth_server.expire(address)  # before its time: renewed without a word
        dovecot.hang_up()
        await asyncio.to_thread(dovecot.deliver, address, mail("one"))
        await accepted(found, 1)
        assert await alarms(found) == []
        oauth_server.revoke(address)
        dovecot.hang_up()
        (alarm,) = await until(lambda: alarms(found))
        assert alarm.kind == "mailbox.sign_in_refused"
        assert "switchboard channels login help" in alarm.subject
        await asyncio.to_thread(dovecot.deliver, address, mail("two"))
        file.save(oauth_server.refresh_token(address))  # what `channels login` does
        await accepted(found, 2)

        async def both() -> list[str] | None:
            told = [one.kind for one in await alarms(found)]
            return told if len(told) > 1 else None

        assert await until(both) == ["mailbox.sign_in_refused", "mailbox.recovered"]
        secrets = [value for form in oauth_server.forms for value in form.values() if value.startswith("refresh-")]
        assert secrets
        assert not any(secret in orjson.dumps(alarm.model_dump(mode="json")).decode() for secret in secrets)


async def test_a_wrong_password_and_an_untrusted_certificate_are_told_apart(
    dovecot: Dovecot, tmp_path: Path, user: str
) -> None:
    with pytest.raises(SignInRefused):
        await Connection(ImapSettings(**dovecot.settings(user)), tmp_path).open(user, Secret("wrong"))
    with pytest.raises(SignInRefused):
        await Connection(ImapSettings(**dovecot.settings(user)), tmp_path).open(user, Secret("no", is_token=True))
    trusting = {**dovecot.settings(user), "ca_file": None}
    with pytest.raises(MailboxUnavailable) as refused:
        await Connection(ImapSettings(**trusting), tmp_path).open(user, Secret("secret"))
    assert isinstance(refused.value.__cause__, ssl.SSLError)
    assert "secret" not in repr(Secret("secret"))


async def test_kill_9_between_accept_and_publish_loses_nothing(dovecot: Dovecot, tmp_path: Path, user: str) -> None:
    count = 300
    dovecot.drop(user, [mail(f"m{n}", sender=f"c{n % 7}@example.org") for n in range(count)])
    accounts = {"email": {"help": {"address": "help@shop.example", "imap": dovecot.settings(user, first_sync="all")}}}
    (tmp_path / "accounts.json").write_bytes(orjson.dumps(accounts))

    def rows(conn: StoreConnection) -> tuple[int, int]:
        asked = (acceptances, outbox)
        return tuple(conn.scalar(select(func.count()).select_from(table)) or 0 for table in asked)  # type: ignore[return-value]

    for share in (0.3, 1.0):
        child = subprocess.Popen([sys.executable, "-m", "tests.kit.edge_process", str(tmp_path)])
        try:
            async with asyncio.timeout(60):
                while True:
                    await asyncio.sleep(0.02)
                    if (tmp_path / "ready").exists():
                        async with Database.at("sqlite:///edge.db", tmp_path, read_only=True) as database:
                            if (await database.read(rows))[0] >= share * count:
                                break
        finally:
            os.kill(child.pid, signal.SIGKILL)
            child.wait(10)
        (tmp_path / "ready").unlink()
    async with Database.at("sqlite:///edge.db", tmp_path, read_only=True) as found:
        assert await found.read(rows) == (count, count), "accepted once each, and each waits to be published"


@pytest.mark.postgres
async def test_of_two_processes_each_reads_its_share_and_one_takes_over_from_the_other(
    dovecot: Dovecot, tmp_path: Path, user: str, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_, "TTL_S", 3.0)
    dovecot.drop(user, [], folder="Two")
    imap = dovecot.settings(user, folders=["INBOX", "Two"])
    async with site(tmp_path, imap, store_url=postgres_url) as found:
        await ready(found)
        reader, _, first = found.parts["email"].inbound
        assert isinstance(first, Mailboxes)
        second = Mailboxes(found.context, first._accounts, reader)  # type: ignore[arg-type]
        await second.start()
        try:

            async def shared() -> bool:
                return len(first._reading) == len(second._reading) == 1

            await until(shared)
            assert set(first._reading) | set(second._reading) == {"mailbox:help/INBOX", "mailbox:help/Two"}
            dovecot.drop(user, [mail("one")])
            dovecot.drop(user, [mail("two")], folder="Two")
            await accepted(found, 2)
            assert await copies(found) == 0
        finally:
            await second.drain()
            await second.stop()

        async def taken_over() -> bool:
            return len(first._reading) == 2

        await until(taken_over)


def test_batches_are_bounded_by_number_and_by_bytes() -> None:
    from channels.email.mailboxes.wire import Listed

    known = {uid: Listed(uid, folder_.BATCH_BYTES // 2 if uid > 150 else 10, None) for uid in range(1, 156)}
    cut = folder_.batches(range(1, 156), known)
    assert [uid for part in cut for uid in part] == list(range(1, 156))
    assert [len(part) for part in cut] == [50, 50, 50, 1, 2, 2] or max(map(len, cut)) <= folder_.BATCH
