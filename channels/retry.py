"""When a deferred mail is tried again. Pure.

First after 5 minutes (greylisting), doubling with jitter up to 4,000 s, for 5 days: Postfix's schedule.
"""

from datetime import datetime, timedelta

FIRST = timedelta(minutes=5)
CAP = timedelta(seconds=4000)
GIVE_UP = timedelta(days=5)


def next_attempt(attempt: int, created_at: datetime, now: datetime, jitter: float) -> datetime | None:
    """When to try after the `attempt`-th attempt (from 1) failed for now; None when it is time to give up.

    `jitter` is in [0, 1): up to a quarter more, so that what failed together does not come back together.
    """
    if now - created_at >= GIVE_UP:
        return None
    wait: timedelta = min(FIRST * 2 ** min(attempt - 1, 16), CAP)
    return now + wait * (1 + jitter / 4)
