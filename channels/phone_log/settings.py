"""One telephone system's call log."""

from typing import Literal

from pydantic import Field

from schemas.base import Config


class PhoneLogSettings(Config):
    drop_folder: str = "calls/"
    """Where the telephone system puts CSV files (relative to the configuration). Done ones move to done/."""
    default_region: str = Field(default="US", pattern=r"^[A-Z]{2}$")
    """The country of numbers that are written without one."""
    delimiter: Literal[",", ";", "|", "\t"] = ","
    queue: str | None = None
