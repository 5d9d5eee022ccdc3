"""One account's way out: its relay's connections, whose turn it is, and whether the relay takes our mail at all."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path

from aiolimiter import AsyncLimiter

from channels.email.oauth import TokenFile, Tokens
from channels.email.sending.links import Links
from channels.email.sending.relay_alarm import RelayAlarm
from channels.email.sending.transfer import Outcome
from channels.email.settings import EmailSettings
from channels.port import Context
from runtime.clock import Clock
from schemas.states import DeliveryState

HOLD_S = 60.0
"""So long nothing is tried after the relay refused us for good: each refused sign-in brings a lockout nearer."""
MAX_DOMAINS = 10_000


def links_of(account: str, settings: EmailSettings, clock: Clock, config_dir: Path, data_dir: Path) -> Links:
    """The account's relay, which it must have."""
    assert settings.smtp is not None
    tokens = None
    if settings.smtp.oauth and settings.imap is not None and settings.imap.oauth is not None:
        tokens = Tokens(settings.imap.oauth, TokenFile(data_dir, account), clock)
    username = (settings.imap.username if settings.imap is not None else None) or settings.address
    return Links(settings.smtp, clock, username=username, tokens=tokens, config_dir=config_dir)


class Lane:
    def __init__(self, context: Context, account: str, settings: EmailSettings) -> None:
        assert settings.smtp is not None
        self._smtp = settings.smtp
        self._clock = context.clock
        self._alarm = RelayAlarm(context, account)
        self._taken = asyncio.Semaphore(settings.smtp.connections * 2)
        self._room = asyncio.Semaphore(settings.smtp.connections)
        self._domains: dict[str, tuple[asyncio.Semaphore, AsyncLimiter]] = {}
        self._held_until = 0.0
        self._held = False
        self.waiting = 0
        """Mails that wait for their domain."""
        self.links = links_of(account, settings, context.clock, context.config_dir, context.data_dir)

    @asynccontextmanager
    async def turn(self, recipient: str) -> AsyncIterator[None]:
        """Until it is a mail's turn to be begun: its domain takes one more, and a connection is free, or the next that
        will be. Who waits for a slow domain holds nothing meanwhile."""
        domain = recipient.rpartition("@")[2].lower()
        if domain not in self._domains:
            if len(self._domains) >= MAX_DOMAINS:  # the oldest; at worst it gets a little more than its share
                del self._domains[next(iter(self._domains))]
            limit = AsyncLimiter(self._smtp.domain_per_minute, 60)
            self._domains[domain] = (asyncio.Semaphore(self._smtp.domain_connections), limit)
        places, limit = self._domains[domain]
        async with AsyncExitStack() as held:
            self.waiting += 1
            try:
                await held.enter_async_context(places)
                await limit.acquire()
            finally:
                self.waiting -= 1
            await held.enter_async_context(self._taken)
            yield

    def connection(self) -> AbstractAsyncContextManager[None]:
        """One of the account's connections."""
        return self._room

    def open(self) -> bool:
        """False while the relay is left alone."""
        self.links.prune()
        return not self._held or self._clock.monotonic() >= self._held_until

    async def learn(self, outcome: Outcome) -> None:
        """What an attempt tells of the relay."""
        if outcome.ours:
            self._held, self._held_until = True, self._clock.monotonic() + HOLD_S
            await self._alarm.refused(outcome.detail)
        elif outcome.state is DeliveryState.SENT:
            self._held = False
            await self._alarm.clear()

    def close(self) -> None:
        self.links.prune(all_=True)
