"""Says that a mailbox needs a person: an event on the notifications topic, once per trouble and once when it ends."""

from typing import Any

from channels.port import Context
from runtime.logs import get_logger
from schemas.errors import TemporaryError
from schemas.notification import Notification

log = get_logger(__name__)

SIGN_IN_REFUSED = "mailbox.sign_in_refused"
UNREACHABLE = "mailbox.unreachable"
AFTER_REFUSED = "mailbox.after_refused"
RECOVERED = "mailbox.recovered"


class Alarm:
    """Of one mailbox."""

    what = "mailbox"

    def __init__(self, context: Context, mailbox: str) -> None:
        self._context = context
        self._mailbox = mailbox
        self._raised: set[str] = set()

    async def sound(self, kind: str, subject: str, **data: Any) -> None:
        """Once until `clear`. Never raises: an alarm that cannot be written is logged, and tried again next time."""
        log.error(f"a {self.what} needs a person", which=self._mailbox, alarm=kind, why=subject)
        if kind in self._raised:
            return
        self._raised.add(kind)  # at once: others may say the same meanwhile
        if not await self._put(kind, subject, data):
            self._raised.discard(kind)

    async def clear(self) -> None:
        """The mailbox is read: what kept us out is over. What becomes of mails is another matter, and said once."""
        over = self._raised & {SIGN_IN_REFUSED, UNREACHABLE}
        if over and await self._put(RECOVERED, "the mailbox is read again", {"after": sorted(over)}):
            self._raised -= over

    async def _put(self, kind: str, subject: str, data: dict[str, Any]) -> bool:
        now = self._context.clock.now()
        event = Notification(
            id=f"{self._mailbox}:{kind}:{now:%Y%m%dT%H%M%S}",
            conversation_id=self._mailbox,
            kind=kind,
            subject=subject,
            data={"mailbox": self._mailbox, **data},
            at=now,
        )
        store = self._context.store
        try:
            await store.database.write(lambda conn: store.outbox.put(conn, event))
        except TemporaryError as error:
            log.warning("an alarm could not be written", mailbox=self._mailbox, error=str(error))
            return False
        return True
