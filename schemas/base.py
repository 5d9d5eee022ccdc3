"""The two kinds of model in the house: what flows, and what people configure."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict


def _utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:  # the first and the last hours of the calendar, in another zone
        raise ValueError("this moment lies outside of the calendar in UTC") from None


Instant = Annotated[AwareDatetime, AfterValidator(_utc)]
"""An aware moment, always carried in UTC."""


class Model(BaseModel):
    """A value that flows. Frozen; unknown fields are ignored, so that an old reader survives a newer writer."""

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="null")


class Config(BaseModel):
    """A value that a person wrote. Frozen; an unknown key is an error, so that a typing mistake never stays silent."""

    model_config = ConfigDict(frozen=True, extra="forbid")
