"""The `router` section."""

from typing import Literal

from pydantic import Field

from schemas.base import Config


class RouterSettings(Config):
    host: Literal["faust", "bus"] = "faust"
    """`faust` (the default) or the bare aiokafka loop."""
    batch_max: int = Field(default=1000, ge=1, le=10_000)
    """Records that the bare host decides at a time."""
