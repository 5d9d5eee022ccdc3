"""The store as one thing: database, blobs, outbox and intake, opened together."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from store.blobs import Blobs
from store.database import Database
from store.intake import Intake
from store.outbox import Outbox
from store.settings import BlobSettings, StoreSettings


@dataclass(frozen=True, slots=True)
class Store:
    database: Database
    blobs: Blobs
    outbox: Outbox
    intake: Intake


def open_store(
    settings: StoreSettings,
    blob_settings: BlobSettings,
    data_dir: Path,
    *,
    shard_of: Callable[[str], int],
    reference: str = "SB-{number}",
    reopen_within: timedelta | None = None,
    read_only: bool = False,
) -> Store:
    """Build the store. Nothing is connected before `database.start()`; the schema is `store.schema.upgrade`'s."""
    database = Database.at(settings.url, data_dir, read_only=read_only)
    blobs = Blobs(data_dir / blob_settings.url.removeprefix("file:"))
    outbox = Outbox(shard_of)
    intake = Intake(
        database,
        blobs,
        outbox,
        reference=reference,
        inline_max_bytes=blob_settings.inline_max_bytes,
        reopen_within=reopen_within,
    )
    return Store(database, blobs, outbox, intake)
