"""Phone log: each call becomes a call-back work item; calling back is the answer."""

from collections.abc import Mapping
from typing import Any

from channels.phone_log.settings import PhoneLogSettings
from channels.port import Channel, Context, Parts


def _build(context: Context, accounts: Mapping[str, Any]) -> Parts:
    if not accounts:
        return Parts()
    from channels.phone_log.folder import DropFolder  # what only reads the settings need not load the store

    return Parts(inbound=[DropFolder(context, accounts)])


CHANNEL = Channel(name="phone_log", settings=PhoneLogSettings, build=_build)
