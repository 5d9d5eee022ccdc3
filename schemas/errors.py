"""The root of every error that Switchboard raises on purpose.

Each class says whether the same call can succeed later (`temporary`) and what a person can do (`hint`).
An error that nobody classified counts as temporary at a delivery edge: it is tried again, never dropped.
"""

from typing import ClassVar


class SwitchboardError(Exception):
    """Base error. `str(error)` is safe to show; `hint` says what to do about it."""

    temporary: ClassVar[bool] = False

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class TemporaryError(SwitchboardError):
    """The same call may succeed later: back off and try again, acknowledge nothing."""

    temporary: ClassVar[bool] = True


class StoreUnavailable(TemporaryError):
    """The store cannot be reached or is locked for longer than its busy timeout."""


class BrokerUnavailable(TemporaryError):
    """Kafka cannot be reached, or did not confirm in time."""


class ConfigError(SwitchboardError):
    """The configuration is wrong. Carries every problem found, each with its place."""

    def __init__(self, problems: list[str], *, hint: str = "") -> None:
        super().__init__("\n".join(problems), hint=hint)
        self.problems = problems


class NotFound(SwitchboardError):
    """There is no such thing."""


class StateConflict(SwitchboardError):
    """The thing is no longer in the state that the caller saw."""


def is_temporary(error: BaseException) -> bool:
    """True if a retry can help. Unknown errors count as temporary: retried within bounds, never dropped."""
    if isinstance(error, SwitchboardError):
        return error.temporary
    return True


class TooLong(BaseException):
    """A piece of work had used up its processor time. A retry does not help: the same in takes as long again. No
    `Exception`, so that only those catch it who know what to do without the work's result."""
