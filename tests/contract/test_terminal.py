"""`switchboard agents work` in a real pseudo-terminal, against a real server."""

import asyncio
import os
import pty
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from schemas.states import InteractionState
from tests.contract.test_desk_api import Site, site  # noqa: F401 - a fixture
from tests.kit.contacts import chat

ROOT = Path(__file__).parents[2]
S = InteractionState


# The child makes the pseudo-terminal its own first, so that Ctrl-C reaches it as it would reach a person's shell; where
# the tests run in the background, SIGINT is ignored, and so would their children ignore it.
OWN_TERMINAL = (
    "import fcntl, os, signal, sys, termios; signal.signal(signal.SIGINT, signal.SIG_DFL);"
    " fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)


class Terminal:
    """A person at the keyboard: what they see, and what they type."""

    def __init__(self, url: str, token: str) -> None:
        self.seen = ""
        self._fd, inner = pty.openpty()
        work = [sys.executable, "-m", "switchboard", "agents", "work", "--url", url]
        self._process = subprocess.Popen(
            [sys.executable, "-c", OWN_TERMINAL, *work],
            cwd=ROOT,
            env={**os.environ, "SWITCHBOARD_TOKEN": token, "NO_COLOR": "1"},
            stdin=inner,
            stdout=inner,
            stderr=inner,
            start_new_session=True,
        )
        os.close(inner)
        asyncio.get_running_loop().add_reader(self._fd, self._read)

    def _read(self) -> None:
        try:
            self.seen += os.read(self._fd, 65536).decode(errors="replace")
        except OSError:  # the other side has gone
            asyncio.get_running_loop().remove_reader(self._fd)

    async def sees(self, text: str) -> None:
        """Wait until it is there; what comes before it is forgotten."""
        async with asyncio.timeout(20):
            while text not in self.seen:
                await asyncio.sleep(0.02)
        self.seen = self.seen.partition(text)[2]

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    async def exit_status(self) -> int:
        return await asyncio.to_thread(self._process.wait, 10)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._fd)
        self._process.kill()
        self._process.wait(10)
        os.close(self._fd)


@pytest.fixture
async def ada(site: Site) -> AsyncIterator[Terminal]:  # noqa: F811
    terminal = Terminal(site.url, site.tokens["ada"])
    yield terminal
    terminal.close()


async def test_an_agent_reads_answers_and_quits(site: Site, ada: Terminal) -> None:  # noqa: F811
    await ada.sees("Signed in as")
    (interaction,) = await site.queued(chat("help me please"))
    await ada.sees("SB-1001")
    await ada.sees("help me please")
    ada.type("what\n")
    await ada.sees("There is no such command.")
    ada.type("c\nGladly. \\\nÜber das Wie reden wir noch.\n")
    await ada.sees("Sent and completed.")
    (reply,) = [r for r in await site.house.replies(interaction) if not r.automatic]
    assert reply.text == "Gladly.\nÜber das Wie reden wir noch."


async def test_what_was_not_sent_is_not_lost_when_the_customer_has_written_again(
    site: Site,  # noqa: F811
    ada: Terminal,
) -> None:
    (interaction,) = await site.queued(chat("help me please"))
    await ada.sees("help me please")
    await ada.sees("> ")
    await site.queued(chat("one more thing", n=2))
    ada.type("c\nGladly.\n")
    await ada.sees("Not sent")
    await ada.sees("one more thing")
    ada.type("c\n\n")
    await ada.sees("Sent and completed.")
    assert [r.text for r in await site.house.replies(interaction) if not r.automatic] == ["Gladly."]


async def test_ctrl_c_ends_it_at_once_and_gives_back_what_is_open(site: Site, ada: Terminal) -> None:  # noqa: F811
    (interaction,) = await site.queued(chat("help me please"))
    await ada.sees("> ")
    assert (await site.item(interaction)).agent == "ada"
    ada.type("\x03")
    assert await ada.exit_status() == 130
    assert (await site.item(interaction)).agent is None
