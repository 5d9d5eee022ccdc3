"""Metrics of one process, in a registry of our own, so that two set-ups in one test never collide."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics import MetricWrapperBase

PREFIX = "switchboard_"
SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

_M = TypeVar("_M", bound=MetricWrapperBase)


class Metrics:
    """Makes each metric once by name, then hands the same one out. Names get `switchboard_` in front."""

    content_type = "text/plain; version=0.0.4; charset=utf-8"

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._made: dict[str, tuple[MetricWrapperBase, tuple[str, ...]]] = {}
        self._looks: list[Callable[[], Awaitable[None]]] = []

    def counter(self, name: str, help: str, labels: Sequence[str] = ()) -> Counter:
        """A number that only grows. Prometheus adds `_total` to the name."""
        return self._once(Counter, name, help, labels)

    def gauge(self, name: str, help: str, labels: Sequence[str] = ()) -> Gauge:
        """A number that goes up and down."""
        return self._once(Gauge, name, help, labels)

    def histogram(
        self, name: str, help: str, labels: Sequence[str] = (), buckets: Sequence[float] = SECONDS
    ) -> Histogram:
        """A distribution; seconds unless the name says otherwise."""
        return self._once(Histogram, name, help, labels, buckets=tuple(buckets))

    def _once(self, kind: type[_M], name: str, help: str, labels: Sequence[str], **extra: Any) -> _M:
        if name in self._made:
            metric, had = self._made[name]
            if not isinstance(metric, kind) or had != tuple(labels):
                raise ValueError(f"metric {name} exists with another kind or other labels")
            return metric
        made: _M = kind(PREFIX + name, help, tuple(labels), registry=self._registry, **extra)
        self._made[name] = (made, tuple(labels))
        return made

    def before_page(self, look: Callable[[], Awaitable[None]]) -> None:
        """Have `look` awaited before each page: for what has to be asked for. It is quick, and never raises."""
        self._looks.append(look)

    def not_before_page(self, look: Callable[[], Awaitable[None]]) -> None:
        """Have it awaited no more."""
        self._looks = [known for known in self._looks if known != look]

    async def page(self) -> bytes:
        """As `render`, when those who have to look have looked."""
        for look in list(self._looks):
            await look()
        return self.render()

    def render(self) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self._registry)
