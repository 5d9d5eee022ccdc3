"""When a deferred mail is tried again. Pure.

First after 5 minutes (greylisting), doubling with jitter up to 4,000 s, for 5 days: Postfix's schedule. But a reply
that is old when its attempts begin (it waited behind another one, or a person has it sent again) gets its share.
"""

from datetime import datetime, timedelta

FIRST = timedelta(minutes=5)
CAP = timedelta(seconds=4000)
GIVE_UP = timedelta(days=5)
AT_LEAST = 100
"""Attempts. In 5 days there is time for 111 to 147."""


def next_attempt(attempt: int, created_at: datetime, now: datetime, jitter: float) -> datetime | None:
    """When to try after the `attempt`-th attempt (from 1) failed for now; None when it is time to give up.

    `jitter` is in [0, 1): a quarter more, at the cap a quarter less, so that what failed together does not come back
    together.
    """
    if now - created_at >= GIVE_UP and attempt >= AT_LEAST:
        return None
    wait: timedelta = FIRST * 2 ** min(attempt - 1, 16)
    return now + (CAP * (1 - jitter / 4) if wait >= CAP else wait * (1 + jitter / 4))
