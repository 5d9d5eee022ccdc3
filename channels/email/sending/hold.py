"""Leaves a relay alone that has refused us for good."""

from typing import Literal

from channels.email.sending.plain import in_words
from channels.email.sending.relay_alarm import RelayAlarm
from channels.port import Context

HOLD_S = 60.0
"""So long nothing is tried after a refusal: each refused sign-in brings a lockout nearer. Then one mail tries."""

ReturnPath = Literal["null", "own"]
"""The return path of a mail: machines' have none, so that no bounce of theirs can start a loop."""


class Hold:
    """Of all mail of an account, or of that with one return path."""

    def __init__(self, context: Context, account: str, path: ReturnPath | Literal[""] = "") -> None:
        self._clock = context.clock
        self._alarm = RelayAlarm(context, account, path)
        self._held = False
        self._until = 0.0
        self.why = ""
        self.times = 0
        """It was refused."""

    def open(self) -> bool:
        """Whether a mail may be tried."""
        return not self._held or self._clock.monotonic() >= self._until

    def passes(self) -> bool:
        """Whether this one may be tried; after the hold the first may, and tells the others."""
        if not self.open():
            return False
        if self._held:
            self._until = self._clock.monotonic() + HOLD_S
        return True

    async def refused(self, detail: str) -> None:
        self._held, self._until, self.why = True, self._clock.monotonic() + HOLD_S, in_words(detail)
        self.times += 1
        await self._alarm.refused(detail)

    async def ended(self, *, sent: bool) -> None:
        """The relay does not refuse us any more; `sent`: it has even taken a mail."""
        self._held = False
        if sent:
            await self._alarm.clear()
