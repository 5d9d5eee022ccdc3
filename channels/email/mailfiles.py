"""Mails in files: single ones, folders, Maildirs, mboxes, in byte order of their paths."""

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MAX_BYTES = 128 * 1024 * 1024
"""A larger mail is not read into memory."""
_FROM_LINE = re.compile(rb"(?m)^From [^\r\n]{0,300}\d\d:\d\d[^\r\n]{0,100}\r?\n")
_ESCAPED = re.compile(rb"(?m)^>(?=>*From )")


@dataclass(frozen=True, slots=True)
class MailFile:
    """One mail, or the reason why its path gave none."""

    file: str
    index: int
    raw: bytes
    error: str | None = None


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
            if start == b"From ":
                file.seek(0)
                yield from _mbox(name, file.read())
                return
            if path.stat().st_size > MAX_BYTES:
                yield MailFile(name, 0, b"", f"larger than {MAX_BYTES} bytes")
                return
            yield MailFile(name, 0, start + file.read(MAX_BYTES))
    except OSError as error:
        yield MailFile(name, 0, b"", _why(error))


def _mbox(name: str, data: bytes) -> Iterator[MailFile]:
    """Each mail of an mbox, its `>From ` lines undone. A `From ` line counts after a blank line only."""
    starts = [
        (match.start(), match.end())
        for match in _FROM_LINE.finditer(data)
        if match.start() == 0 or data[max(0, match.start() - 4) : match.start()].endswith((b"\n\n", b"\n\r\n"))
    ]
    if not starts or starts[0][0] != 0:
        starts.insert(0, (0, data.find(b"\n") + 1))
    for index, (_, begin) in enumerate(starts):
        end = starts[index + 1][0] if index + 1 < len(starts) else len(data)
        raw = data[begin:end]
        if index + 1 < len(starts):  # the blank line before the next one is the format's
            raw = raw[:-2] if raw.endswith(b"\r\n") else raw[:-1]
        yield MailFile(name, index, _ESCAPED.sub(b"", raw))


def _why(error: Exception) -> str:
    return (error.strerror or type(error).__name__) if isinstance(error, OSError) else str(error)
