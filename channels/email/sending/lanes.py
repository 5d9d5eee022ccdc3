"""One account's way out: its relay's connections, whose turn it is, and whether the relay takes our mail at all."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

from channels.email.oauth import TokenFile, Tokens
from channels.email.sending.domains import Domains, Turn
from channels.email.sending.hold import Hold, ReturnPath
from channels.email.sending.links import Links
from channels.email.sending.transfer import Outcome
from channels.email.sending.waiting import Waiting
from channels.email.settings import EmailSettings
from channels.port import Context
from runtime.clock import Clock
from schemas.states import DeliveryState

BEGIN_S = 0.05
"""What it takes to begin a mail on a busy machine."""
AHEAD = 4
"""At most so many mails for each connection."""
AGAIN_S = 300.0
"""At most so often is everything that waits for the relay tried at once: one that comes and goes, or that takes a few
connections of many, would be asked without end."""


def links_of(account: str, settings: EmailSettings, clock: Clock, config_dir: Path, data_dir: Path) -> Links:
    """The account's relay, which it must have."""
    assert settings.smtp is not None
    tokens = None
    if settings.smtp.oauth and settings.imap is not None and settings.imap.oauth is not None:
        tokens = Tokens(settings.imap.oauth, TokenFile(data_dir, account), clock)
    username = (settings.imap.username if settings.imap is not None else None) or settings.address
    return Links(settings.smtp, clock, username=username, tokens=tokens, config_dir=config_dir)


Passed = tuple[int, int]
"""How often the relay had refused all our mail, and that with this return path."""


class Ahead:
    """Places for mails that are begun, or about to be: as many as there are connections, and what these carry away
    while others are begun. A slow relay has nothing begun ahead: what is begun when a process dies is unknown."""

    def __init__(self, connections: int) -> None:
        self._connections = connections
        self._mail_s = 1.0
        self._taken = 0
        self._waiting = Waiting()

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
            await self._waiting.wait(self._wake)
        self._taken += 1

    async def __aexit__(self, *_: object) -> None:
        self._taken -= 1
        self._wake()

    def _wake(self) -> None:
        if self._taken > 2 * self._connections:
            return  # they are begun together, in one transaction, when half of what went ahead is used up
        self._waiting.call(self.most - self._taken)


class Lane:
    def __init__(self, context: Context, account: str, settings: EmailSettings) -> None:
        assert settings.smtp is not None
        self._clock = context.clock
        self._ahead = Ahead(settings.smtp.connections)
        self._room = asyncio.Semaphore(settings.smtp.connections)
        self.domains = Domains(settings.smtp)
        self._hold = Hold(context, account)
        self._holds: dict[ReturnPath, Hold] = {
            "null": Hold(context, account, "null"),
            "own": Hold(context, account, "own"),
        }
        self._away: set[ReturnPath | Literal[""]] = {""}
        """Whom the relay was away for; it may have been for all before this process began."""
        self._again_at = 0.0
        self.links = links_of(account, settings, context.clock, context.config_dir, context.data_dir)

    @asynccontextmanager
    async def turn(self, recipient: str) -> AsyncIterator[Turn]:
        """Until it is a mail's turn to be begun: its domain takes one more, and a connection is free, or the next that
        will be. Who waits for a slow domain holds nothing meanwhile. Raises NotYet."""
        async with self.domains.turn(recipient) as turn, self._ahead:
            yield turn

    @asynccontextmanager
    async def connection(self, turn: Turn, make_room: Callable[[], None]) -> AsyncIterator[bool]:
        """One of the account's connections. False: the others need it more, see `Turn.under_way`."""
        async with self._room:
            if not turn.under_way(make_room):
                yield False
                return
            since = self._clock.monotonic()
            try:
                yield True
            finally:
                turn.ended(took=self._clock.monotonic() - since)
            self._ahead.learn(self._clock.monotonic() - since)

    def open(self) -> list[ReturnPath]:
        """The return paths with which the relay takes mail, as far as is known."""
        self.links.prune()
        return [path for path, hold in self._holds.items() if hold.open()] if self._hold.open() else []

    def passes(self, path: ReturnPath) -> Passed | None:
        """Whether this mail may be begun; see `Hold.passes`."""
        mine = self._holds[path]
        if not (mine.open() and self._hold.passes() and mine.passes()):
            return None
        return self._hold.times, mine.times

    def refused_since(self, path: ReturnPath, passed: Passed) -> str:
        """Why the relay is left alone, since this mail passed; empty if it is not."""
        both = zip((self._hold, self._holds[path]), passed, strict=True)
        return next((hold.why for hold, then in both if hold.times != then and not hold.open()), "")

    async def learn(self, outcome: Outcome, path: ReturnPath) -> None:
        """What an attempt tells of the relay."""
        if outcome.ours:
            await (self._holds[path] if outcome.at_mail else self._hold).refused(outcome.detail)
        elif not outcome.away and not outcome.untried and not outcome.plain:  # it has had a say
            for hold in (self._hold, self._holds[path]):
                await hold.ended(sent=outcome.state is DeliveryState.SENT)

    def is_back(self, outcome: Outcome, path: ReturnPath) -> bool:
        """Whether a relay that was away takes mail again, by this attempt: what waits for it need not wait any more."""
        if outcome.away:
            self._away.add(path if outcome.at_mail else "")
        now = self._clock.monotonic()
        if outcome.state is not DeliveryState.SENT or not self._away & {"", path} or now < self._again_at:
            return False
        self._away -= {"", path}
        self._again_at = now + AGAIN_S
        return True

    def close(self) -> None:
        self.links.prune(all_=True)
