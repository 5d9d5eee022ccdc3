"""How often one caller may ask: token buckets in memory."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from math import ceil

from starlette.requests import Request

from runtime.clock import Clock
from runtime.http.problem import Problem


class TokenBuckets:
    """One bucket per key: `burst` at once, refilled by `per_second`.

    At most `max_keys` are remembered, the longest unused forgotten first, so that many addresses cost
    bounded memory.
    """

    def __init__(self, per_second: float, burst: float, clock: Clock, max_keys: int = 10_000) -> None:
        self._rate, self._burst, self._clock, self._max_keys = per_second, burst, clock, max_keys
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str, cost: float = 1.0) -> float:
        """0.0 if allowed, else the seconds until it will be."""
        now = self._clock.monotonic()
        level, at = self._buckets.pop(key, (self._burst, now))
        level = min(self._burst, level + (now - at) * self._rate)
        wait = 0.0 if level >= cost else (cost - level) / self._rate
        self._buckets[key] = (level if wait else level - cost, now)
        if len(self._buckets) > self._max_keys:
            self._buckets.popitem(last=False)
        return wait


def limited(buckets: TokenBuckets) -> Callable[[Request], Awaitable[None]]:
    """A FastAPI dependency: 429 with Retry-After when the caller's address asks too often."""

    async def dependency(request: Request) -> None:
        wait = buckets.take(request.client.host if request.client else "")
        if wait:
            raise Problem(429, "Too many requests.", headers={"Retry-After": str(ceil(wait))})

    return dependency
