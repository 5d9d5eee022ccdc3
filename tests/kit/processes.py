"""Looking at real processes."""

import asyncio
import time
from collections.abc import Iterable
from pathlib import Path


def alive(pid: int) -> bool:
    """True while the process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def descendants(pid: int) -> list[int]:
    """The process's children, theirs, and so on."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
            parents.setdefault(parent, []).append(int(entry.name))
    found: list[int] = []
    left = [pid]
    while left:
        children = parents.get(left.pop(), [])
        found += children
        left += children
    return found


async def gone(pids: Iterable[int], timeout: float = 5.0) -> bool:
    """Wait until all are dead; False if some are not in time."""
    left = list(pids)
    until = time.monotonic() + timeout
    while any(map(alive, left)):
        if time.monotonic() > until:
            return False
        await asyncio.sleep(0.02)
    return True
