"""Mails in files: single ones, folders, Maildirs, mboxes, in byte order of their paths."""

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

MAX_BYTES = 128 * 1024 * 1024
"""A larger mail is not read into memory."""
TOO_LARGE = f"larger than {MAX_BYTES} bytes"
PIECE = 1024 * 1024
"""A longer line is read in pieces."""
_FROM_LINE = re.compile(rb"From [^\r\n]{0,300}\d\d:\d\d[^\r\n]{0,100}\r?\n")
_ESCAPED = re.compile(rb"^>(?=>*From )")


@dataclass(frozen=True, slots=True)
class MailFile:
    """One mail, or the reason why its path gave none."""

    file: str
    index: int
    raw: bytes
    error: str | None = None
    size: int = 0
    """How many bytes of the file it takes."""


def mails(path: Path) -> Iterator[MailFile]:
    """Every mail at or below `path`. What cannot be read is an entry with its `error`; nothing is raised."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        yield MailFile(os.fspath(path), 0, b"", _why(error))
        return
    if stat.S_ISDIR(mode):
        for found in _below(path):
            if isinstance(found, MailFile):
                yield found
            else:
                yield from mails(found)
    elif stat.S_ISREG(mode):
        yield from _file(path)
    else:
        yield MailFile(os.fspath(path), 0, b"", "not a regular file")


def files_below(path: Path) -> list[Path]:
    """The files that `mails` reads, in byte order of their paths."""
    return [found for found in _below(path) if isinstance(found, Path)] if path.is_dir() else [path]


def _below(folder: Path) -> Iterator[Path | MailFile]:
    files: list[Path] = []
    errors: list[MailFile] = []

    def note(error: OSError) -> None:
        errors.append(MailFile(os.fsdecode(error.filename or folder), 0, b"", _why(error)))

    for where, folders, names in os.walk(folder, onerror=note):
        here = Path(where)
        maildir = "cur" in folders and "new" in folders
        if maildir:
            folders[:] = [name for name in folders if name != "tmp"]
            names = []  # a server's own files, beside the mail
        files += [here / name for name in names if not name.startswith(".")]
    yield from sorted(files, key=os.fsencode)
    yield from errors


def _file(path: Path) -> Iterator[MailFile]:
    name = os.fspath(path)
    try:
        with path.open("rb") as file:
            start = file.read(5)
            file.seek(0)
            if start == b"From ":
                yield from _mbox(name, file)
                return
            size = path.stat().st_size
            if size > MAX_BYTES:
                yield MailFile(name, 0, b"", TOO_LARGE, size=size)
                return
            raw = file.read(MAX_BYTES)
            yield MailFile(name, 0, raw, size=len(raw))
    except OSError as error:
        yield MailFile(name, 0, b"", _why(error))


def _mbox(name: str, file: IO[bytes]) -> Iterator[MailFile]:
    """Each mail of an mbox, its `>From ` lines undone. A `From ` line counts after a blank line only. No more than one
    mail is in memory, and of one that is too large its first `MAX_BYTES`."""
    first = file.readline(PIECE)
    index, taken = 0, len(first)
    lines = [] if first.endswith(b"\n") else [first]
    held = sum(map(len, lines))
    begins, blank = first.endswith(b"\n"), False
    while line := file.readline(PIECE):
        if begins and blank and line.startswith(b"From ") and _FROM_LINE.match(line):
            # The blank line before the next one is the format's.
            yield _one(name, index, lines[:-1], taken, held)
            index, taken, lines, held, blank = index + 1, len(line), [], 0, False
            continue
        taken += len(line)
        blank = begins and line in (b"\n", b"\r\n")
        if held <= MAX_BYTES:
            lines.append(_ESCAPED.sub(b"", line) if begins else line)
            held += len(lines[-1])
        begins = line.endswith(b"\n")
    yield _one(name, index, lines, taken, held)


def _one(name: str, index: int, lines: list[bytes], taken: int, held: int) -> MailFile:
    if held > MAX_BYTES:
        return MailFile(name, index, b"", TOO_LARGE, size=taken)
    return MailFile(name, index, b"".join(lines), size=taken)


def _why(error: Exception) -> str:
    return (error.strerror or type(error).__name__) if isinstance(error, OSError) else str(error)
