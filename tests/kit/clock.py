"""A clock moved by hand."""

from datetime import UTC, datetime, timedelta


class ManualClock:
    """Starts at a fixed moment and stands still until `advance` or `set` is called."""

    def __init__(self, start: datetime = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)) -> None:
        self._now = start.astimezone(UTC)
        self._monotonic = 0.0

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, by: timedelta | float) -> None:
        """Move both clocks forward; a number means seconds."""
        step = by if isinstance(by, timedelta) else timedelta(seconds=by)
        assert step >= timedelta(), "use set() to move the wall clock back"
        self._now += step
        self._monotonic += step.total_seconds()

    def set(self, moment: datetime) -> None:
        """Let the wall clock jump, forward or back, as clocks do. The monotonic clock does not notice."""
        self._now = moment.astimezone(UTC)
