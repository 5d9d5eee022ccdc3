"""The desk put together: API, WebSocket, and the sweepers."""

from agents import api, files, held, sent, socket
from agents.access import token_check
from agents.files import FILES, FORM_BYTES
from agents.port import Context, Parts
from agents.sweeper import LeaseSweeper, UploadSweeper

__all__ = ["FILES", "FORM_BYTES", "build", "token_check"]


def build(context: Context) -> Parts:
    """What the process has to run and to serve. Does no IO."""
    return Parts(
        services=[LeaseSweeper(context), UploadSweeper(context)],
        routers=[room.make_router(context) for room in (api, files, held, sent, socket)],
    )
