"""What the rest of the house knows of a broker."""

from collections.abc import Awaitable, Callable
from typing import Protocol

OnRestart = Callable[[str, str], Awaitable[None]]
"""Gets the new address and the new incarnation."""
OnReturn = Callable[[], Awaitable[None]]


class Broker(Protocol):
    """Service: a broker that is there after `start`."""

    @property
    def name(self) -> str: ...

    @property
    def address(self) -> str:
        """`host:port`, or several with commas."""
        ...

    @property
    def incarnation(self) -> str:
        """Changes when the broker comes back without what it knew."""
        ...

    @property
    def is_embedded(self) -> bool: ...

    @property
    def is_ready(self) -> bool: ...

    def on_restart(self, callback: OnRestart) -> None:
        """Have `callback` awaited whenever address and incarnation have changed and the topics are there."""
        ...

    def on_return(self, callback: OnReturn) -> None:
        """Have `callback` awaited whenever a broker that keeps its data answers again after a death."""
        ...

    async def start(self) -> None: ...

    async def drain(self) -> None: ...

    async def stop(self) -> None: ...
