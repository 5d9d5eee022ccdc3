"""Channels by name, imported when they are asked for, so that one that is not used costs nothing."""

import importlib
import importlib.util
from collections.abc import Mapping
from typing import Any

from channels.port import Channel
from schemas.errors import ConfigError
from schemas.interaction import CHANNELS


def channel(name: str) -> Channel:
    """The channel of that name. Raises ConfigError for an unknown one."""
    there = name.isidentifier() and importlib.util.find_spec(f"channels.{name}") is not None
    found = getattr(importlib.import_module(f"channels.{name}"), "CHANNEL", None) if there else None
    if not isinstance(found, Channel):
        raise ConfigError([f"channels.{name}: there is no such channel"], hint=f"one of {', '.join(CHANNELS)}")
    return found


def accounts(name: str, section: Mapping[str, Any]) -> dict[str, Any]:
    """The accounts of one channel's section, each checked against the channel's own settings. Raises
    pydantic.ValidationError, ConfigError."""
    model = channel(name).settings
    return {account: model.model_validate(settings or {}) for account, settings in section.items()}
