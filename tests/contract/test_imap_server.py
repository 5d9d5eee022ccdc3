"""Reading a mailbox of another server's make: pymap, in a process of its own. Needs nothing but its package."""

import asyncio
import contextlib
import imaplib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from bus.brokers.probe import free_port
from store import mailboxes
from store.tables import interactions
from tests.kit.edge import edge
from tests.kit.mails import mail


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    port = free_port()
    program = str(Path(sys.executable).with_name("pymap"))
    command = [program, "--host", "127.0.0.1", "--port", str(port), "--no-tls", "dict", "--demo-data"]
    with (tmp_path / "pymap.log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as child:
        try:
            yield port
        finally:
            child.terminate()


def append(port: int, raw: bytes) -> None:
    with imaplib.IMAP4("127.0.0.1", port) as client:
        client.login("demouser", "demopass")
        client.append("INBOX", "", "", raw)


async def test_new_mail_is_announced_read_and_moved(port: int, tmp_path: Path) -> None:
    async with asyncio.timeout(20):
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                break
            await asyncio.sleep(0.1)
    imap = {"host": "127.0.0.1", "port": port, "tls": "none", "username": "demouser", "password": "demopass"}
    imap |= {"after": "move", "move_to": "Sent", "poll": "9m"}
    async with edge(tmp_path, {"email": {"help": {"address": "help@shop.example", "imap": imap}}}) as found:

        async def cursor() -> mailboxes.Cursor | None:
            return await found.database.read(lambda c: mailboxes.load(c, "mailbox:help/INBOX"))

        async with asyncio.timeout(20):
            while (first := await cursor()) is None:
                await asyncio.sleep(0.05)
            await asyncio.to_thread(append, port, mail("new"))
            while (now := await cursor()) is None or now.position == first.position:
                await asyncio.sleep(0.05)
        bodies = await found.database.read(lambda c: c.scalars(select(interactions.c.body)).all())
        assert [body["native_id"] for body in bodies] == ["new@example.org"], "what was there before is not ours"
    with imaplib.IMAP4("127.0.0.1", port) as client:
        client.login("demouser", "demopass")
        client.select("Sent")
        assert client.search(None, "HEADER", "Message-ID", "<new@example.org>")[1][0].split(), "moved"
