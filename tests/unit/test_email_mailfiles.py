"""Mails out of files: mboxes of any size in little memory, cut where the format says."""

import tracemalloc
from pathlib import Path

import pytest

from channels.email import mailfiles
from channels.email.mailfiles import mails

FROM = b"From ann@example.org Thu Nov 26 11:00:00 2026\n"


def test_a_big_mbox_is_not_read_into_memory_whole(tmp_path: Path) -> None:
    """It was, twice."""
    path, count, size = tmp_path / "big", 25, 8 * 1024 * 1024
    mail = FROM + b"Subject: x\n\n" + (b"y" * 65535 + b"\n") * (size // 65536) + b"\n"
    with path.open("wb") as file:
        for _ in range(count):
            file.write(mail)
    tracemalloc.start()
    try:
        sizes = [(len(each.raw), each.size, each.error) for each in mails(path)]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [taken for _, taken, _ in sizes] == [len(mail)] * count
    assert {error for _, _, error in sizes} == {None}
    assert peak < 5 * size, "one mail in pieces, whole, and while the next is read"


def test_of_an_mbox_only_a_mail_over_the_limit_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailfiles, "MAX_BYTES", 1000)
    small, large = FROM + b"Subject: x\n\nwords\n\n", FROM + b"Subject: y\n\n" + b"z\n" * 1000 + b"\n"
    (tmp_path / "box").write_bytes(small + large + small)
    found = list(mails(tmp_path / "box"))
    assert [(each.index, bool(each.raw), bool(each.error)) for each in found] == [
        (0, True, False),
        (1, False, True),
        (2, True, False),
    ]
    assert [each.size for each in found] == [len(small), len(large), len(small)]


@pytest.mark.parametrize("piece", [1024 * 1024, 50])
def test_an_mbox_is_cut_at_from_lines_after_blank_lines_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece: int
) -> None:
    monkeypatch.setattr(mailfiles, "PIECE", piece)
    long = b"w" * 49 + b"\r\n"  # its second piece is no blank line
    one = b"Subject: 1\n\nwords\n" + FROM + long + FROM + b">From here\n>>From there\n> From\n"
    two = b"Subject: 2\r\n\r\n\r\nFrom here on\r\n"
    (tmp_path / "box").write_bytes(FROM + one + b"\n" + FROM + two + b"\r\n" + FROM + b"Subject: 3\n\nend\n\n")
    undone = one.replace(b">From here", b"From here").replace(b">>From", b">From")
    assert [each.raw for each in mails(tmp_path / "box")] == [undone, two, b"Subject: 3\n\nend\n\n"]
