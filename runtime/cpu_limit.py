"""Stops pure code that does not come to an end, where it stands, with an exception.

A timer of the system counts the processor time of the process (not the clock: a process that was stopped or starved is
not at fault) and goes off as a signal, whose handler raises in the middle of what the main thread is doing. Code in C
that never looks at signals is not stopped by it: `loop_watch` is for that.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class TooLong(Exception):
    """What runs had used up its processor time. A retry does not help: the same in takes as long again."""


_armed = False


def _raise(_signal: int, _frame: FrameType | None) -> None:
    if _armed:  # a signal that was on its way when the work ended concerns nobody
        raise TooLong("it took too much processor time and was stopped")


@contextmanager
def cpu_limit(seconds: float) -> Iterator[None]:
    """Raise `TooLong` inside after so many seconds of processor time, and again after each further such span: whoever
    catches it inside goes on with the next piece of work. Without effect outside the main thread. Not to be nested;
    nothing inside may await."""
    global _armed
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    if signal.getsignal(signal.SIGVTALRM) is not _raise:
        signal.signal(signal.SIGVTALRM, _raise)
    _armed = True
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds, seconds)
    try:
        yield
    finally:
        _armed = False
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
