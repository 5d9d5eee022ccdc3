"""Says that a relay refuses us: an event on the notifications topic, once, and once when it takes our mail again."""

from channels.email.mailboxes.alarms import Alarm
from channels.port import Context

REFUSED = "relay.refused"
RECOVERED = "relay.recovered"


class RelayAlarm(Alarm):
    """Of one account's relay; `kind`: of a kind of its mail alone."""

    what = "relay"

    def __init__(self, context: Context, account: str, kind: str = "") -> None:
        super().__init__(context, f"relay:{account}:{kind}" if kind else f"relay:{account}")
        self._mail = {"": "our mail", "null": "our machine-made mail", "own": "what people here write"}[kind]

    async def refused(self, why: str) -> None:
        await self.sound(REFUSED, f"the relay refuses {self._mail}: {why}", what_to_do="switchboard channels check")

    async def clear(self) -> None:
        over, self._raised = self._raised, set()  # at once: other mails go through meanwhile
        if over and not await self._put(RECOVERED, f"the relay takes {self._mail} again", {}):
            self._raised |= over
