"""The store's section of the configuration."""

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from schemas.base import Config
from schemas.durations import Duration
from schemas.limits import INLINE_BYTES


class StoreSettings(Config):
    """`sqlite:///FILE` (relative to data_dir) or `postgresql://USER@HOST/DB`; the password comes by environment."""

    url: str = Field(default="sqlite:///switchboard.db", pattern=r"^(sqlite|postgresql)")
    keep_published: int = Field(default=200_000, ge=1_000)
    """Rows of the outbox that are kept after they have been published and have had their effect."""
    keep_rule_hits: Annotated[Duration, Field(ge=timedelta(days=7))] = timedelta(days=400)
    """How long it is known how often each rule fired on a day; the rules' page shows seven."""


class BlobSettings(Config):
    url: str = Field(default="file:blobs", pattern=r"^file:")
    inline_max_bytes: int = Field(default=INLINE_BYTES, ge=0, le=1024 * 1024)
