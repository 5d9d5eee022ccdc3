"""Mails from files (.eml, folders, Maildirs, mboxes) into the store. Can be cut short and begun again."""

import asyncio
import hashlib
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import islice
from pathlib import Path

from channels.email.mailboxes.batch import TOO_LARGE, Batch
from channels.email.mailfiles import TOO_LARGE as TOO_LARGE_FILE
from channels.email.mailfiles import MailFile, files_below, mails
from channels.email.reading import MailReader
from channels.email.settings import EmailSettings
from runtime.clock import Clock
from schemas import limits
from store import mailboxes
from store.mailboxes import Cursor
from store.store import Store

BATCH = 50
BATCH_BYTES = 8 * 1024 * 1024
_RECEIVED = re.compile(rb"(?im)^received:[^\n]*(?:\n[ \t][^\n]*){0,20}")
_HEAD = 64 * 1024


@dataclass(slots=True)
class Imported:
    """What became of the mails. `skipped`: done by an earlier run."""

    outcomes: Counter[str] = field(default_factory=Counter)
    skipped: int = 0
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    """(path, why) of what gave no mail."""


async def import_mails(
    path: Path,
    account: str,
    settings: EmailSettings,
    *,
    reader: MailReader,
    store: Store,
    clock: Clock,
    archive: bool,
    restart: bool = False,
    advanced: Callable[[int], None] = lambda _: None,
) -> Imported:
    """Accept every mail at or below `path`; none is answered by machine, and with `archive` each is closed at once.

    A run over the same files goes on where the last one was cut short, or could not read a file. `advanced` is told of
    each batch's bytes. Raises StoreUnavailable, WorkersUnavailable: begin again, copies are recognised.
    """
    key = f"import:{account}:{path.resolve()}"
    validity = await asyncio.to_thread(fingerprint, path)
    stored = await store.database.read(lambda conn: mailboxes.load(conn, key))
    if stored is None or stored.validity != validity or restart:
        stored = Cursor(validity=validity, position=0)
        began, now = stored, clock.now()
        await store.database.write(lambda conn: mailboxes.begin(conn, key, began, now))
    done = Imported()
    # What cannot be read today may be read tomorrow, and be an mbox of many: the cursor stays before it.
    readable_to = sys.maxsize
    found = enumerate(mails(path), start=1)
    while some := await asyncio.to_thread(_next, found):
        batch = Batch(
            account=account,
            where=f"{path} as number",
            settings=settings,
            max_bytes=limits.MAIL_BYTES,
            reader=reader,
            intake=store.intake,
            now=clock.now,
            count=lambda outcome: done.outcomes.update([outcome]),
            archived=archive,
        )
        for position, one in some:
            if one.error is not None:
                done.unreadable.append((one.file, one.error))
                if one.error != TOO_LARGE_FILE:
                    readable_to = min(readable_to, position - 1)
            elif position <= stored.position:
                done.skipped += 1
            else:
                _add(batch, position, one, clock.now())
        last = some[-1][0]
        if last > stored.position:
            await batch.settle(last)
            through, now = min(last, readable_to), clock.now()
            await store.database.write(
                lambda conn, through=through, now=now: mailboxes.advance(conn, key, validity, through, now)  # type: ignore[misc]
            )
        advanced(sum(one.size for _, one in some))
    return done


def _next(found: Iterator[tuple[int, MailFile]]) -> list[tuple[int, MailFile]]:
    some: list[tuple[int, MailFile]] = []
    size = 0
    for position, one in islice(found, BATCH):
        some.append((position, one))
        size += len(one.raw)
        if size > BATCH_BYTES:
            break
    return some


def _add(batch: Batch, position: int, one: MailFile, now: datetime) -> None:
    received_at, size = min(arrived(one, now), now), len(one.raw)
    if size <= batch.max_bytes:
        batch.add(position, one.raw, received_at, backfill=True)
        return
    head = one.raw[: limits.MAIL_HEADER_BYTES]
    head = re.split(rb"\r?\n\r?\n", head, maxsplit=1)[0] + b"\r\n\r\n"
    batch.add(position, head, received_at, backfill=True, hold=TOO_LARGE, size=size)


def arrived(one: MailFile, now: datetime) -> datetime:
    """When our side got the mail: by its topmost Received field, else the file's time. Never by its Date field, which
    is the sender's word."""
    match = _RECEIVED.search(one.raw[:_HEAD])
    if match:
        said = match[0].rpartition(b";")[2][:100].decode("ascii", "replace")
        try:
            when = parsedate_to_datetime(said.strip())
            return when.astimezone(UTC) if when.tzinfo else when.replace(tzinfo=UTC)
        except (ValueError, TypeError, IndexError, OverflowError):
            pass
    try:
        return datetime.fromtimestamp(Path(one.file).stat().st_mtime, UTC)
    except (OSError, ValueError, OverflowError):
        return now


def total_bytes(path: Path) -> int:
    return sum(each.stat().st_size for each in files_below(path) if each.is_file())


def fingerprint(path: Path) -> int:
    """Tells one set of files from another, by names, sizes and times: positions count under this one only."""
    state = hashlib.sha256()
    for each in files_below(path):
        try:
            about = each.stat()
        except OSError:
            continue
        state.update(os.fsencode(each) + f"\0{about.st_size}\0{about.st_mtime_ns}\0".encode())
    return int.from_bytes(state.digest()[:7], "big")
