"""Watches a folder for call logs. A file is done when every row of it is on disk; until then it is read again."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from channels.phone_log.parse import BadRow, GoodRow, parse_rows
from channels.phone_log.settings import PhoneLogSettings
from channels.port import Context
from runtime.logs import get_logger
from runtime.tasks import TaskOwner
from schemas.errors import SwitchboardError, TemporaryError
from store.intake import Arrival

POLL_S = 0.5
MAX_BYTES = 64 * 1024 * 1024
TOGETHER = 50

log = get_logger(__name__)


class FileTooLarge(SwitchboardError):
    """More in one file than is read at once."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of a file's rows."""

    accepted: int = 0
    copies: int = 0
    set_aside: int = 0
    first: str = ""
    """Why the first row that was set aside is no call."""


class DropFolder:
    """Service. Files whose size still changes, hidden ones and *.part are left alone."""

    def __init__(self, context: Context, accounts: Mapping[str, PhoneLogSettings]) -> None:
        self.name = "phone log"
        self._context = context
        self._accounts = accounts
        self._sizes: dict[Path, int] = {}
        self._tasks = TaskOwner()
        self._stopping = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None

    async def start(self) -> None:
        for settings in self._accounts.values():
            (self._folder(settings) / "done").mkdir(parents=True, exist_ok=True)
        self._loop = self._tasks.spawn("phone_log.watch", self._run())

    async def drain(self) -> None:
        self._stopping.set()
        if self._loop is not None:
            await asyncio.wait({self._loop}, timeout=10.0)

    async def stop(self) -> None:
        self._stopping.set()
        await self._tasks.cancel_all(2.0)

    async def failed(self) -> BaseException:
        _, error = await self._tasks.wait_failed()
        if self._stopping.is_set():
            await asyncio.Event().wait()
        return error

    def _folder(self, settings: PhoneLogSettings) -> Path:
        return self._context.config_dir / settings.drop_folder

    async def _run(self) -> None:
        while not self._stopping.is_set():
            for account, settings in self._accounts.items():
                try:
                    await self._look(account, settings)
                except (TemporaryError, OSError) as error:
                    log.warning("call logs have to wait", account=account, error=str(error))
            try:
                async with asyncio.timeout(POLL_S):
                    await self._stopping.wait()
            except TimeoutError:
                continue

    async def _look(self, account: str, settings: PhoneLogSettings) -> None:
        folder = self._folder(settings)
        for path in sorted(p for p in folder.iterdir() if p.is_file() and p.suffix.lower() == ".csv"):
            size = path.stat().st_size
            if path.name.startswith(".") or self._sizes.get(path) != size:
                self._sizes[path] = size
                continue
            self._sizes.pop(path)
            try:
                await self._take(path, folder, account, settings)
            except OSError as error:  # this file only: the others do not wait for it
                log.warning("a call log has to wait", file=path.name, error=str(error))

    async def _take(self, path: Path, folder: Path, account: str, settings: PhoneLogSettings) -> None:
        try:
            found = await import_file(path, account, settings, self._context)
        except FileTooLarge as error:
            await self._context.store.intake.refused("phone_log", account, "file too large")
            (folder / "refused").mkdir(exist_ok=True)
            path.rename(_free(folder / "refused" / path.name))
            log.error("call log refused", file=path.name, error=str(error))
            return
        path.rename(_free(folder / "done" / path.name))
        log.info("call log taken in", file=path.name, accepted=found.accepted, set_aside=found.set_aside)


async def import_file(path: Path, account: str, settings: PhoneLogSettings, context: Context) -> Imported:
    """Take in every row. What is no call is set aside with its bytes. Raises FileTooLarge; StoreUnavailable: then
    try again, copies are recognised."""
    now = context.clock.now()
    data = await asyncio.to_thread(_read, path)
    accepted = copies = aside = 0
    rows = parse_rows(
        data,
        account=account,
        region=settings.default_region,
        delimiter=settings.delimiter,
        queue=settings.queue,
        now=now,
    )

    async def one(row: GoodRow | BadRow) -> str:
        if isinstance(row, BadRow):
            detail = f"{path.name}:{row.line}: {row.detail}"
            await context.store.intake.set_aside(
                "phone_log", account, row.raw, now, detail=detail, media_type="text/csv"
            )
            return "aside"
        arrival = Arrival(contact=row.contact, raw=row.raw, media_type="text/csv")
        return "copy" if (await context.store.intake.accept(arrival, now)).copy else "accepted"

    while some := await asyncio.to_thread(list, islice(rows, TOGETHER)):
        for outcome in await asyncio.gather(*map(one, some)):
            accepted += outcome == "accepted"
            copies += outcome == "copy"
            aside += outcome == "aside"
    bad = next((row for row in rows if isinstance(row, BadRow)), None)
    return Imported(accepted, copies, aside, f"line {bad.line}: {bad.detail}" if bad else "")


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise FileTooLarge(f"{path.name} is larger than {MAX_BYTES} bytes", hint="split it")
    return data


def _free(target: Path) -> Path:
    """A name that is not taken: nothing in done/ is ever overwritten."""
    candidate, n = target, 1
    while candidate.exists():
        candidate = target.with_name(f"{target.stem}.{n}{target.suffix}")
        n += 1
    return candidate
