"""Stops pure code that does not come to an end, where it stands, with an exception.

A timer of the system counts the processor time of the process (not the clock: a process that was stopped or starved is
not at fault) and goes off as a signal, whose handler raises in the middle of what the main thread is doing. Code in C
that never looks at signals is not stopped by it: `loop_watch` is for that.
"""

import signal
import threading
from types import FrameType
from typing import Self

from schemas.errors import TooLong


class CpuLimit:
    """`with` it around several pieces of work, and call `again` before each: `TooLong` is raised inside a piece that
    takes longer than `seconds` of processor time. After each that did, the next ones get half as long, but `least`:
    all of many together must come to an end, too. Without effect outside the main thread. Not to be nested; nothing
    inside may await."""

    _armed: "CpuLimit | None" = None

    def __init__(self, seconds: float, least: float) -> None:
        self._seconds, self._least = seconds, least
        self._works = threading.current_thread() is threading.main_thread()

    def __enter__(self) -> Self:
        if self._works:
            if signal.getsignal(signal.SIGPROF) is not _went_off:
                signal.signal(signal.SIGPROF, _went_off)
            CpuLimit._armed = self
        return self

    def again(self) -> None:
        """The next piece begins."""
        if self._works:
            signal.setitimer(signal.ITIMER_PROF, self._seconds)

    def halve(self) -> None:
        self._seconds = max(self._least, self._seconds / 2)

    def __exit__(self, *_: object) -> None:
        if self._works:
            try:
                CpuLimit._armed = None
            finally:  # it may have gone off just now
                signal.setitimer(signal.ITIMER_PROF, 0)
                CpuLimit._armed = None


def _went_off(_signal: int, _frame: FrameType | None) -> None:
    limit = CpuLimit._armed
    if limit is not None:  # a signal that was on its way when the work ended concerns nobody
        limit.halve()
        raise TooLong("it took too much processor time and was stopped")
