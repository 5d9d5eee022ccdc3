"""Switchboard: every customer's message on one pipeline. What the outside world may import is here."""

from typing import Any

from switchboard.version import __version__

_CLIENT = (
    "BadRequest",
    "Conflict",
    "LeaseLost",
    "NewerMessages",
    "QueueConsumer",
    "SwitchboardClientError",
    "Unauthorized",
    "Unreachable",
    "WorkItem",
)

__all__ = ["__version__", *_CLIENT]


def __getattr__(name: str) -> Any:
    # Lazily, so that the command line does not load an HTTP client to print its version.
    if name in _CLIENT:
        from switchboard import client

        return getattr(client, name)
    raise AttributeError(f"module 'switchboard' has no attribute {name!r}")
