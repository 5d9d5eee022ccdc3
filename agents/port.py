"""What the desk is given, and what it brings to the process."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from fastapi import APIRouter

from agents.outcomes import InWords
from agents.settings import DeskSettings
from runtime.clock import Clock
from runtime.lifecycle import Service
from runtime.metrics import Metrics
from store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    store: Store
    clock: Clock
    metrics: Metrics
    settings: DeskSettings
    secret: bytes = field(repr=False)
    """The installation's key."""
    in_words: InWords
    """What a mail server's refusal means."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    services: Sequence[Service] = ()
    routers: Sequence[APIRouter] = ()
