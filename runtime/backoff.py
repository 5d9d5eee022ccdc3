"""How long to wait before the next attempt."""

import random


def backoff(attempt: int, base: float, cap: float) -> float:
    """Full jitter: a random wait in seconds between 0 and `min(cap, base * 2**attempt)`; attempts from 0.

    The whole range is random on purpose: clients that failed together do not come back together.
    """
    if attempt < 0:
        raise ValueError("attempts count from 0")
    ceiling = min(cap, base * 2.0 ** min(attempt, 64))
    return random.uniform(0.0, ceiling)  # noqa: S311 - spreading load needs no cryptography
