"""What a channel is to the rest of the house, and what the house gives to a channel."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from channels.settings import SmtpIngressSettings
from runtime.clock import Clock
from runtime.lifecycle import Service
from runtime.metrics import Metrics
from schemas.base import Config
from schemas.interaction import Channel as ChannelName

if TYPE_CHECKING:  # a channel's settings are read without them
    from fastapi import APIRouter

    from store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What every channel may use."""

    store: "Store"
    """`store.intake.accept` is the one way in; acknowledge the source only after it has returned."""
    clock: Clock
    metrics: Metrics
    public_url: str
    """Where customers reach us over HTTP, without a trailing slash."""
    smtp_ingress: SmtpIngressSettings
    """Where the mail door listens. Only the email channel uses it."""
    config_dir: Path
    """Relative paths in a channel's settings start here."""
    data_dir: Path
    """For what a channel keeps beside the store."""
    secret: bytes = field(repr=False)
    """The installation's key: sign sessions and links with a key derived from it for one purpose only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a channel brings to the process. Services start in this order and drain in reverse."""

    inbound: Sequence[Service] = ()
    outbound: Sequence[Service] = ()
    routers: "Sequence[APIRouter]" = ()
    pages: Mapping[str, Any] = field(default_factory=dict)
    """URL prefix → ASGI application with static files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """One way for customers to write. A module or package of the channel's name holds it as `CHANNEL`."""

    name: ChannelName
    settings: type[Config]
    """The settings of one account of this channel."""
    build: Callable[[Context, Mapping[str, Any]], Parts]
    """Account name → settings; gives what has to run. Does no IO."""
    conflicts: Callable[[Mapping[str, Any]], list[str]] = lambda _: []
    """What accounts that are right each for itself cannot have together, as `ACCOUNT.key: what is wrong`."""
