"""What every host measures of itself, the same way: from its first record to the last confirmed and committed one.

Imports nothing of ours, because the peers run in environments of their own.
"""

import json
import os
import resource
import time
from typing import Any

IN, OUT = "interactions", "decisions"
BATCH, BATCH_BYTES, IN_FLIGHT, COMMIT_EVERY_S = 1000, 1_000_000, 8, 0.5


class Meter:
    """Call `begin` at the first record, `count` as records are done with, `report` after the last commit."""

    def __init__(self) -> None:
        self.done = 0
        self._wall = self._cpu = 0.0

    def begin(self) -> None:
        if not self._wall:
            self._wall, self._cpu = time.perf_counter(), _cpu()

    def count(self, records: int) -> None:
        self.done += records

    def report(self, **more: Any) -> None:
        """Print the figures and end the process, whatever else is still running in it."""
        seconds, cpu = time.perf_counter() - self._wall, _cpu() - self._cpu
        rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        figures = {
            "events": self.done,
            "events_per_s": self.done / seconds,
            "cpu_us": cpu / self.done * 1e6,
            "rss_mb": rss,
            **more,
        }
        print("FIGURES " + json.dumps(figures), flush=True)
        os._exit(0)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
