"""A channel in one file: paper notes from a suggestion box, typed into a folder, one text file each.

The walk-through in CONTRIBUTING.md explains it; the tests run it through the contract of all channels.
"""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from channels.language import language_of
from channels.port import Channel, Context, Parts
from runtime.logs import get_logger
from runtime.looping import Looping
from schemas.base import Config
from schemas.errors import TemporaryError
from schemas.interaction import Contact, Sender, WebFormContent
from schemas.limits import TEXT_CHARS
from store.intake import Arrival

log = get_logger(__name__)


# 1. What a person configures, per account. Unknown keys are refused by `Config`.
class Settings(Config):
    folder: str = "notes/"
    queue: str | None = None


# 2. Bytes → Contact: pure, and it never raises. Bytes that are no note give None, and are set aside below.
def parse(raw: bytes, *, account: str, key: str, queue: str | None, received_at: datetime) -> Contact | None:
    try:
        text = raw.decode("utf-8").strip()
    except UnicodeDecodeError:
        return None
    if not text or len(text) > TEXT_CHARS:
        return None
    return Contact(
        account=account,
        native_id=key,
        received_at=received_at,
        queue=queue,
        sender=Sender(kind="anonymous"),
        subject="A note from the suggestion box",
        text=text,
        language=language_of(text),
        content=WebFormContent(form=account, fields={"note": text}),
    )


# 3. The IO: a service (`Looping` is the smallest kind) that accepts first and only then lets go of the source.
class NoteFolder(Looping):
    name = "suggestion box"

    def __init__(self, context: Context, accounts: Mapping[str, Settings]) -> None:
        super().__init__()
        self._context = context
        self._accounts = accounts

    async def start(self) -> None:
        for settings in self._accounts.values():
            (self._context.config_dir / settings.folder / "done").mkdir(parents=True, exist_ok=True)
        await super().start()

    async def _run(self) -> None:
        while True:
            for account, settings in self._accounts.items():
                try:
                    await self._look(account, settings)
                except (TemporaryError, OSError) as error:  # the note stays where it is: try again
                    log.warning("notes have to wait", account=account, error=str(error))
            await asyncio.sleep(0.2)

    async def _look(self, account: str, settings: Settings) -> None:
        folder: Path = self._context.config_dir / settings.folder
        for path in sorted(folder.glob("*.txt")):
            raw, now = path.read_bytes(), self._context.clock.now()
            contact = parse(raw, account=account, key=path.stem, queue=settings.queue, received_at=now)
            intake = self._context.store.intake
            if contact is None:
                await intake.set_aside("web_form", account, raw, now, detail=f"{path.name} is no note")
            else:
                await intake.accept(Arrival(contact=contact, raw=raw, media_type="text/plain"), now)
            path.rename(folder / "done" / path.name)


# 4. What the house asks for. Put the file into channels/ under the channel's name, and it is found by that name.
def _build(context: Context, accounts: Mapping[str, Any]) -> Parts:
    return Parts(inbound=[NoteFolder(context, accounts)])


CHANNEL = Channel(name="web_form", settings=Settings, build=_build)
