"""kill -9 between receiving a mail and accepting it, and between accepting and saying so, at every door: whatever the
other side does next, each mail is accepted exactly once, and what was acknowledged is there."""

import asyncio
import itertools
import signal
import smtplib
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar, Literal

import orjson
import pytest
from sqlalchemy import select
from sqlalchemy.engine import Connection

from store import ledger
from store.database import Database
from store.tables import interactions
from tests.kit.dovecot import Dovecot
from tests.kit.mails import mail

pytestmark = pytest.mark.acceptance
KEYS = [f"m{n}" for n in range(5)]
DIES_AT = 3
_users = itertools.count(1)

Ports = dict[str, int]


class KilledDoor:
    """Inherited by each door."""

    sender_resends: ClassVar[bool] = False
    """The other side learns of each mail whether we have it, and sends again what we have not said yes to."""

    def account(self) -> dict[str, Any]:
        return {"address": "help@shop.example"}

    def fate(self) -> dict[str, Any]:
        return {"smtp_ingress": {"lmtp_bind": "127.0.0.1:0"}}

    async def bring(self, ports: Ports, keys: list[str]) -> list[str]:
        """Bring these mails, until the door falls. Those that it has said yes to."""
        return []

    @asynccontextmanager
    async def life(self, folder: Path, **fate: Any) -> AsyncIterator[tuple[asyncio.subprocess.Process, Ports]]:
        (folder / "accounts.json").write_bytes(orjson.dumps({"email": {"help": self.account()}}))
        (folder / "fate.json").write_bytes(orjson.dumps({**self.fate(), **fate}))
        (folder / "ready").unlink(missing_ok=True)
        process = await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.kit.edge_process", str(folder))
        try:
            async with asyncio.timeout(40):
                while not (folder / "ready").exists() and process.returncode is None:
                    await asyncio.sleep(0.02)
            yield process, orjson.loads((folder / "ready").read_bytes()) if (folder / "ready").exists() else {}
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def kept(self, folder: Path) -> list[str]:
        """The keys of what was accepted; the ledger balances."""

        def work(conn: Connection) -> list[str]:
            assert ledger.balance(conn).balanced
            return [body["native_id"].partition("@")[0] for body in conn.scalars(select(interactions.c.body))]

        async with Database.at("sqlite:///edge.db", folder, read_only=True) as database:
            return sorted(await database.read(work))

    async def copies(self, folder: Path) -> int:
        async with Database.at("sqlite:///edge.db", folder, read_only=True) as database:
            return (await database.read(ledger.balance)).total.copies

    @pytest.mark.parametrize("dies", ["before", "after"])
    async def test_each_mail_is_accepted_once(self, tmp_path: Path, dies: Literal["before", "after"]) -> None:
        async with self.life(tmp_path, dies=dies, dies_at=DIES_AT) as (process, ports):
            acknowledged = await self.bring(ports, KEYS)
            async with asyncio.timeout(20):
                assert await process.wait() == -signal.SIGKILL
        kept = await self.kept(tmp_path)
        assert set(acknowledged) <= set(kept)
        if self.sender_resends:
            assert len(kept) == DIES_AT - int(dies == "before")
        async with self.life(tmp_path) as (_, ports):
            again = await self.bring(ports, [key for key in KEYS if key not in acknowledged])
            if self.sender_resends:
                assert sorted(acknowledged + again) == KEYS
            # A batch is read again as a whole.
            copies = int(dies == "after") if self.sender_resends else len(kept)
            async with asyncio.timeout(20):
                while (await self.kept(tmp_path), await self.copies(tmp_path)) != (KEYS, copies):
                    await asyncio.sleep(0.05)


class TestSmtp(KilledDoor):
    sender_resends = True
    client: ClassVar[type[smtplib.SMTP]] = smtplib.SMTP
    protocol = "smtp"

    async def bring(self, ports: Ports, keys: list[str]) -> list[str]:
        said_yes: list[str] = []

        def work() -> None:
            with self.client("127.0.0.1", ports[self.protocol], timeout=20) as connection:
                for key in keys:
                    connection.sendmail("ann@example.org", ["help@shop.example"], mail(key))
                    said_yes.append(key)

        with suppress(smtplib.SMTPServerDisconnected, ConnectionError):
            await asyncio.to_thread(work)
        return said_yes


class TestLmtp(TestSmtp):
    client = smtplib.LMTP
    protocol = "lmtp"


class TestImap(KilledDoor):
    @pytest.fixture(autouse=True)
    def mailbox(self, dovecot: Dovecot) -> None:
        self.user = f"killed{next(_users)}"
        dovecot.drop(self.user, [mail(key, sender=f"{key}@example.org") for key in KEYS])
        self.imap = dovecot.settings(self.user, first_sync="all")

    def account(self) -> dict[str, Any]:
        return {**super().account(), "imap": self.imap}


class TestImport(KilledDoor):
    @pytest.fixture(autouse=True)
    def files(self, tmp_path: Path) -> None:
        self.folder = tmp_path / "mails"
        self.folder.mkdir()
        for key in KEYS:
            (self.folder / f"{key}.eml").write_bytes(mail(key))

    def fate(self) -> dict[str, Any]:
        return {"import": str(self.folder)}
