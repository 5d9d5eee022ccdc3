"""What the control room is given."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from runtime.clock import Clock
from runtime.http.auth import Principal
from runtime.metrics import Metrics
from store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    store: Store
    clock: Clock
    metrics: Metrics
    check: Callable[[str], Awaitable[Principal | None]]
    """Token → who it is. Given by the composition root, because rooms do not know each other."""
    queues: Sequence[str] = ()
    """Of the configuration: they have figures when they are empty, too."""
