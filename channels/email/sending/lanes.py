"""One account's way out: its relay's connections, whose turn it is, and whether the relay takes our mail at all."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
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
BEGIN_S = 0.05
"""What it takes to begin a mail on a busy machine."""
AHEAD = 4
"""At most so many mails for each connection."""
AGAIN_S = 300.0
"""At most so often is everything that waits for the relay tried at once: one that comes and goes, or that takes a few
connections of many, would be asked without end."""
MAX_DOMAINS = 10_000


def links_of(account: str, settings: EmailSettings, clock: Clock, config_dir: Path, data_dir: Path) -> Links:
    """The account's relay, which it must have."""
    assert settings.smtp is not None
    tokens = None
    if settings.smtp.oauth and settings.imap is not None and settings.imap.oauth is not None:
        tokens = Tokens(settings.imap.oauth, TokenFile(data_dir, account), clock)
    username = (settings.imap.username if settings.imap is not None else None) or settings.address
    return Links(settings.smtp, clock, username=username, tokens=tokens, config_dir=config_dir)


class Ahead:
    """Places for mails that are begun, or about to be: as many as there are connections, and what these carry away
    while others are begun. A slow relay has nothing begun ahead: what is begun when a process dies is unknown."""

    def __init__(self, connections: int) -> None:
        self._connections = connections
        self._mail_s = 1.0
        self._taken = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    def learn(self, seconds: float) -> None:
        """How long a mail has taken."""
        self._mail_s += (max(seconds, 0.001) - self._mail_s) / 8

    @property
    def most(self) -> int:
        """How many may be begun."""
        ahead = self._connections * BEGIN_S / self._mail_s
        return self._connections + min(int(ahead), self._connections * AHEAD)

    async def __aenter__(self) -> None:
        while self._taken >= self.most:
            waiting = asyncio.get_running_loop().create_future()
            self._waiting.append(waiting)
            try:
                await waiting
            except asyncio.CancelledError:
                self._wake()  # it may have been its turn
                raise
        self._taken += 1

    async def __aexit__(self, *_: object) -> None:
        self._taken -= 1
        self._wake()

    def _wake(self) -> None:
        if self._taken > 2 * self._connections:
            return  # they are begun together, in one transaction, when half of what went ahead is used up
        free = self.most - self._taken
        while free > 0 and self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():  # nobody waits for one that was cancelled
                waiting.set_result(None)
                free -= 1


class Lane:
    def __init__(self, context: Context, account: str, settings: EmailSettings) -> None:
        assert settings.smtp is not None
        self._smtp = settings.smtp
        self._clock = context.clock
        self._alarm = RelayAlarm(context, account)
        self._ahead = Ahead(settings.smtp.connections)
        self._room = asyncio.Semaphore(settings.smtp.connections)
        # One connection is for the others, wherever there are two.
        self._per_domain = min(settings.smtp.domain_connections, max(settings.smtp.connections - 1, 1))
        self._domains: dict[str, tuple[asyncio.Semaphore, AsyncLimiter]] = {}
        self._held_until = 0.0
        self._held = False
        self._away = True
        """The relay was away, or may have been before this process began."""
        self._again_at = 0.0
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
            self._domains[domain] = (asyncio.Semaphore(self._per_domain), limit)
        places, limit = self._domains[domain]
        self.waiting += 1
        try:
            await places.acquire()
        finally:
            self.waiting -= 1
        try:
            self.waiting += 1
            try:
                await limit.acquire()
            finally:
                self.waiting -= 1
            async with self._ahead:
                yield
        finally:
            places.release()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[None]:
        """One of the account's connections."""
        async with self._room:
            since = self._clock.monotonic()
            yield
            self._ahead.learn(self._clock.monotonic() - since)

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

    def is_back(self, outcome: Outcome) -> bool:
        """Whether a relay that was away takes mail again, by this attempt: what waits for it need not wait any more."""
        if outcome.away:
            self._away = True
        now = self._clock.monotonic()
        if outcome.state is not DeliveryState.SENT or not self._away or now < self._again_at:
            return False
        self._away, self._again_at = False, now + AGAIN_S
        return True

    def close(self) -> None:
        self.links.prune(all_=True)
