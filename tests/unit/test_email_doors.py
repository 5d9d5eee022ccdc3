"""Reading a mail off the wire: the dots, the end, the size, in whatever pieces it comes."""

import asyncio
import re

from hypothesis import given
from hypothesis import strategies as st

from channels.email.doors import SmtpDoor, has_bare_line_end, has_long_line

LIMIT = 200
WIRE = st.lists(st.sampled_from([b".", b"\r\n", b"\r", b"\n", b"a", b"..", b".\r\n", b"words."]), max_size=30)


class Nobody:
    """A handler that is not asked."""


async def received(wire: bytes, cuts: list[int]) -> tuple[bytes | None, bytes]:
    """(the mail, what was left for the next command)."""
    door = SmtpDoor(Nobody(), data_size_limit=LIMIT, timeout=60, loop=asyncio.get_running_loop())
    reader = door._reader = asyncio.StreamReader(limit=64)
    reading = asyncio.create_task(door._mail())
    at = 0
    for cut in [*sorted(cuts), len(wire)]:
        reader.feed_data(wire[at : max(at, cut)])
        at = max(at, cut)
        await asyncio.sleep(0)
    found = await reading
    door._timeout_handle.cancel()
    reader.feed_eof()
    return found, await reader.read()


@given(WIRE, st.lists(st.integers(0, 100), max_size=5))
def test_a_mail_is_what_was_sent_without_its_dots_however_it_is_cut_up(parts: list[bytes], cuts: list[int]) -> None:
    text = b"".join(parts)
    if text and not text.endswith(b"\r\n"):
        text += b"\r\n"
    stuffed = re.sub(rb"(^|(?<=\r\n))\.", b"..", text)
    found, left = asyncio.run(received(stuffed + b".\r\nQUIT\r\n", cuts))
    assert left == b"QUIT\r\n"
    assert found == (text if len(stuffed) <= LIMIT else None)


def test_a_mail_over_the_size_is_read_to_its_end() -> None:
    found, left = asyncio.run(received(b"x.\r\n" * 1000 + b".\r\nQUIT\r\n", [300, 1000, 3999, 4001]))
    assert found is None
    assert left == b"QUIT\r\n"


@given(WIRE)
def test_a_bare_line_end_is_seen(parts: list[bytes]) -> None:
    text = b"".join(parts)
    assert has_bare_line_end(text) == (re.search(rb"(?<!\r)\n|\r(?!\n)", text) is not None)


@given(st.lists(st.integers(0, 12), max_size=8))
def test_a_long_line_is_seen(lengths: list[int]) -> None:
    text = b"".join(b"x" * length + b"\r\n" for length in lengths)
    assert has_long_line(text, 9) == any(length + 1 > 9 for length in lengths)
