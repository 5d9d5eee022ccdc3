"""Chat: a WebSocket per visitor, and a plain page that speaks it."""

from collections.abc import Mapping
from typing import Any

from channels.chat.settings import ChatSettings
from channels.port import Channel, Context, Parts


def _build(context: Context, accounts: Mapping[str, Any]) -> Parts:
    if not accounts:
        return Parts()
    # Here, so that what only reads the settings need not load a web framework.
    from channels.chat.http import make_router
    from channels.chat.push import ChatPush
    from runtime.http.static import static_files

    push = ChatPush(context.store, context.clock)
    return Parts(
        inbound=[push],
        routers=[make_router(context, accounts, push)],
        pages={"/chat-static": static_files("channels.chat", "static")},
    )


CHANNEL = Channel(name="chat", settings=ChatSettings, build=_build)
