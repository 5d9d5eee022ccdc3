"""The one way to ask for the time, so that tests can move it by hand."""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Where a component gets the time from."""

    def now(self) -> datetime:
        """The wall clock: aware, in UTC. May jump; use it for what people read and what is stored."""
        ...

    def monotonic(self) -> float:
        """Seconds since some fixed moment. Never goes back; for waits and deadlines of this process."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()
