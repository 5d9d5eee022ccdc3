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

LOOKS = 3
"""Each half the time after the one before, the first at any moment of a piece."""


class CpuLimit:
    """`with` it around several pieces of work, and call `again` before each: `TooLong` is raised inside a piece that
    takes longer than `seconds` of processor time, before it has taken half as long again. After each that did, the next
    ones get half as long, but `least`: all of many together must come to an end, too. Without effect outside the main
    thread. Not to be nested; nothing inside may await."""

    _armed: "CpuLimit | None" = None

    def __init__(self, seconds: float, least: float) -> None:
        self._seconds, self._least = seconds, least
        self._works = threading.current_thread() is threading.main_thread()
        self._piece = self._looked_at = self._looks = 0

    def __enter__(self) -> Self:
        if self._works:
            if signal.getsignal(signal.SIGPROF) is not _went_off:
                signal.signal(signal.SIGPROF, _went_off)
            CpuLimit._armed = self
            self._look_every(self._seconds / 2)
        return self

    def again(self) -> None:
        """The next piece begins. Cheap: the timer goes on, and looks now and then whether it is still the same."""
        self._piece += 1

    def look(self) -> None:
        """Raises TooLong on the third look at the same piece."""
        if self._looked_at != self._piece:
            self._looked_at, self._looks = self._piece, 0
        self._looks += 1
        if self._looks == LOOKS:
            self._piece += 1  # what follows without `again` is a piece of its own
            self._seconds = max(self._least, self._seconds / 2)
            self._look_every(self._seconds / 2)
            raise TooLong("it took too much processor time and was stopped")

    def _look_every(self, seconds: float) -> None:
        signal.setitimer(signal.ITIMER_PROF, seconds, seconds)

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
        limit.look()
