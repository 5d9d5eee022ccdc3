"""The parser's work grows with a mail's size and not with its square. Work is counted in calls, never in seconds."""

import sys
from collections.abc import Callable

import pytest

from channels.email.parser.fields import header, mailboxes
from channels.email.parser.html import cut
from channels.email.parser.mime import split
from channels.email.parser.newtext import said
from channels.email.parser.notes import Notes


def work(function: Callable[[], object]) -> int:
    """How many calls, of Python and of C, the function makes."""
    calls = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        function()
    finally:
        sys.setprofile(before)
    return calls


TEXTS = {
    "attributions": "On Mon, May 4, 2026 Bob <b@x.example> wrote:\n",
    "attributions that never end": "On Mon, May 4, 2026 Bob <b@x.example>\n",
    "header blocks": "From: a\nSent: b\nTo: c\n\n",
    "quoted and not": "> a\nb\n",
    "rules": "____________________\n",
    "blank lines": "\n",
    "dashes": "-- \n",
    "forward lines": "---------- Forwarded message ---------\n",
}


@pytest.mark.parametrize("shape", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("subject", ["Re: x", "Fwd: x"])
def test_new_text(shape: str, subject: str) -> None:
    small, large = (work(lambda n=n: said(shape * n + "end", "", subject)) for n in (300, 1200))  # type: ignore[misc]
    assert large <= 4.5 * small + 200


PARTS = {
    "boundaries": b"--b\r\n\r\nx\r\n",
    "boundaries that are none": b"--b x\r\n",
    "half boundaries": b"\r\n--",
}


@pytest.mark.parametrize("shape", PARTS.values(), ids=PARTS)
def test_parts(shape: bytes) -> None:
    head = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    small, large = (work(lambda n=n: split(head + shape * n, Notes())) for n in (100, 400))  # type: ignore[misc]
    assert large <= 4.5 * small + 200


@pytest.mark.parametrize("shape", ["a@x.example, ", "(", '"', "<", "a, ", "=?utf-8?q?a?= "])
def test_addresses_and_words(shape: str) -> None:
    small, large = (work(lambda n=n: (mailboxes([shape * n]), header(shape * n))) for n in (100, 400))  # type: ignore[misc]
    assert large <= 4.5 * small + 200


@pytest.mark.parametrize(
    "shape",
    [
        "<p>old</p>tail",
        "<blockquote type=cite>x</blockquote>y",
        "On 4 May 2026 a@x.example wrote:<br>",
        "<div class=gmail_quote>x</div>",
    ],
)
def test_html(shape: str) -> None:
    start = "<div>new</div><hr id=stopSpelling>"
    small, large = (work(lambda n=n: cut(start + shape * n)) for n in (200, 800))  # type: ignore[misc]
    assert large <= 4.5 * small + 200
