"""Recipients' domains: how many mails at a time and in a minute each takes, and which of them are slow to answer."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiolimiter import AsyncLimiter

from channels.email.sending.waiting import Waiting
from channels.email.settings import SmtpSettings
from schemas.addresses import wire_domain

SLOW_S = 2.0
"""A mail that has been under way for so long makes its domain a slow one, until one is quicker."""
PATIENCE_S = 10.0
"""So long a mail waits in memory for its domain; then it makes room, and is looked for again."""
MAX_DOMAINS = 10_000


class NotYet(Exception):
    """Its domain takes no more for now."""


class Domain:
    def __init__(self, places: int, per_minute: int) -> None:
        self.places = asyncio.Semaphore(places)
        self.limit = AsyncLimiter(per_minute, 60)
        self.slow = False


class Share:
    """The connections that slow domains have among them."""

    def __init__(self, places: int) -> None:
        self._free = places
        self._waiting = Waiting()

    def take_now(self) -> bool:
        self._free -= (taken := self._free > 0)
        return taken

    async def take(self) -> None:
        while not self.take_now():
            await self._waiting.wait(self._wake)

    def release(self) -> None:
        self._free += 1
        self._wake()

    def _wake(self) -> None:
        self._waiting.call(min(self._free, 1))


class Domains:
    """Those of one account. Slow ones have all connections but one among them, wherever there are two."""

    def __init__(self, smtp: SmtpSettings) -> None:
        others = max(smtp.connections - 1, 1)
        self._smtp = smtp
        self._per_domain = min(smtp.domain_connections, others)
        self._known: dict[str, Domain] = {}
        self._share = Share(others) if smtp.connections > 1 else None
        self.waiting = 0
        """Mails that wait for their domain."""

    def is_slow(self, domain: str) -> bool:
        return domain in self._known and self._known[domain].slow

    @asynccontextmanager
    async def turn(self, recipient: str) -> AsyncIterator["Turn"]:
        """Until it is a mail's turn: its domain takes one more. Who waits holds nothing of what others need. Raises
        NotYet."""
        turn = Turn(self._of(domain_of(recipient)), self._share)
        self.waiting += 1
        try:
            async with asyncio.timeout(PATIENCE_S):
                await turn.wait()
        except TimeoutError:
            turn.over()
            raise NotYet from None
        except BaseException:
            turn.over()
            raise
        finally:
            self.waiting -= 1
        try:
            yield turn
        finally:
            turn.over()

    def _of(self, domain: str) -> Domain:
        if domain not in self._known:
            if len(self._known) >= MAX_DOMAINS:  # the oldest; at worst it gets a little more than its share
                del self._known[next(iter(self._known))]
            self._known[domain] = Domain(self._per_domain, self._smtp.domain_per_minute)
        return self._known[domain]


class Turn:
    """One mail's: a place of its domain; and, when that is slow, one of those that slow domains share."""

    def __init__(self, domain: Domain, share: Share | None) -> None:
        self._domain, self._share = domain, share
        self._held: list[asyncio.Semaphore | Share] = []
        self._timer: asyncio.TimerHandle | None = None

    async def wait(self) -> None:
        await self._domain.places.acquire()
        self._held.append(self._domain.places)
        await self._domain.limit.acquire()
        if self._domain.slow and self._share is not None:
            await self._share.take()
            self._held.append(self._share)

    def over(self) -> None:
        while self._held:
            self._held.pop().release()

    def under_way(self, make_room: Callable[[], None]) -> bool:
        """A connection is there: the time runs. False: the domain has turned out slow meanwhile, and slow ones have
        their share. `make_room` is called when that turns out under way."""
        if self._domain.slow and not self._fits():
            return False
        self._timer = asyncio.get_running_loop().call_later(SLOW_S, self._is_slow, make_room)
        return True

    def ended(self, *, took: float) -> None:
        """After `under_way`, which was so many seconds ago."""
        if self._timer is not None:
            self._timer.cancel()
        if took < SLOW_S:
            self._domain.slow = False

    def _is_slow(self, make_room: Callable[[], None]) -> None:
        self._domain.slow = True
        if not self._fits():
            make_room()

    def _fits(self) -> bool:
        """Whether a slow one may have its connection."""
        if self._share is None or self._share in self._held:
            return True
        if not self._share.take_now():
            return False
        self._held.append(self._share)
        return True


def domain_of(recipient: str) -> str:
    return wire_domain(recipient.rpartition("@")[2].lower())
