"""The `router` section."""

from typing import Literal

from pydantic import Field

from schemas.base import Config
from schemas.durations import Duration, parse_duration


class RouterSettings(Config):
    host: Literal["faust", "bus"] = "faust"
    """`faust` (the default) or the bare aiokafka loop."""
    batch_max: int = Field(default=1000, ge=1, le=10_000)
    """Records that are decided at a time."""
    stuck_after: Duration = parse_duration("60s")
    """A router that has something to do, gets nothing done and does not know why is ended after this, and started
    again."""
