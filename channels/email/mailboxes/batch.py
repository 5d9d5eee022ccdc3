"""Some mails of one folder, or one import, on their way into the store."""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from channels.email.mailboxes.connection import CommandRefused, Connection
from channels.email.mailboxes.wire import Listed
from channels.email.reading import MailReader
from channels.email.settings import EmailSettings
from runtime.logs import get_logger
from schemas import limits
from schemas.errors import NotFound, TemporaryError
from schemas.interaction import Contact
from store.intake import Arrival, Intake
from store.mailboxes import Cursor

BACKFILL = "backfill"
"""Flag: it was there before we looked, so no machine answers it."""
TOO_LARGE = "too_large"
UNREADABLE = "unreadable"

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Taken:
    """A batch that is done: all up to `through` was accepted, or is not ours. `uids`: what was accepted whole."""

    through: int
    uids: tuple[int, ...]


@dataclass(slots=True)
class _Mail:
    uid: int
    raw: bytes
    received_at: datetime
    contact: asyncio.Task[Contact]
    backfill: bool
    hold: str = ""
    size: int = 0


@dataclass(slots=True, kw_only=True)
class Batch:
    """`fetch` or `add` each mail, then `settle` them together."""

    account: str
    where: str
    """Where a mail is found by its UID, in words for a person."""
    settings: EmailSettings
    max_bytes: int
    reader: MailReader
    intake: Intake
    now: Callable[[], datetime]
    count: Callable[[str], None]
    """Told what became of each mail: accepted, copy, held, blocked, not_ours, vanished, set_aside."""
    archived: bool = False
    """Recorded as closed, for nobody to answer."""
    _mails: list[_Mail] = field(default_factory=list)

    async def fetch(self, connection: Connection, uid: int, known: Listed | None, cursor: Cursor) -> None:
        """Fetch one mail and have it parsed meanwhile. Raises MailboxUnavailable."""
        if known is None:
            self.count("vanished")
            return
        now = self.now()
        received_at = min(known.arrived or now, now)
        backfill = uid <= cursor.backfill_to
        if backfill and cursor.since is not None and received_at < cursor.since:
            self.count("not_ours")
            return
        limit = self.max_bytes
        raw, hold = None, TOO_LARGE
        if known.size <= limit:
            try:
                raw, hold = await connection.fetch(uid, limit), ""
                if raw is not None and len(raw) > limit:
                    raw, hold = None, TOO_LARGE
                elif raw is None:
                    self.count("vanished")
                    return
            except CommandRefused as error:  # the server knows the mail, and cannot give it
                log.error("a mail could not be fetched", account=self.account, uid=uid, error=str(error))
                hold = UNREADABLE
        if raw is None:
            raw = await self._header(connection, uid)
        self.add(uid, raw, received_at, backfill=backfill, hold=hold, size=known.size)

    def add(
        self, uid: int, raw: bytes, received_at: datetime, *, backfill: bool = False, hold: str = "", size: int = 0
    ) -> None:
        """Have a mail parsed. `hold`: why `raw` is its header block only; `size` is the whole mail's."""
        reading = self.reader.read(raw, self.account, received_at, envelope_to=[self.settings.address])
        task = asyncio.create_task(reading, name=f"parse {self.account} {uid}")
        self._mails.append(_Mail(uid, raw, received_at, task, backfill, hold, size))

    async def _header(self, connection: Connection, uid: int) -> bytes:
        try:
            return await connection.header(uid, limits.MAIL_HEADER_BYTES) or b""
        except CommandRefused:
            return b""

    async def settle(self, through: int) -> Taken:
        """Accept all. Raises what is temporary: then nothing of the batch counts as done, and it is read again."""
        contacts = []
        for found in await asyncio.gather(*(mail.contact for mail in self._mails), return_exceptions=True):
            if isinstance(found, BaseException):
                raise found
            contacts.append(found)
        # What one sender wrote is accepted in its order; different ones share commits.
        lines: dict[str, list[tuple[_Mail, Contact]]] = defaultdict(list)
        for mail, contact in zip(self._mails, contacts, strict=True):
            lines[contact.sender.address].append((mail, contact))
        done = await asyncio.gather(*map(self._line, lines.values()), return_exceptions=True)
        accepted: list[int] = []
        for outcome in done:
            if isinstance(outcome, BaseException):
                raise outcome
            accepted += outcome
        return Taken(through, tuple(sorted(accepted)))

    def drop(self) -> None:
        """The connection was lost half-way. What is being parsed has its own deadline; nobody asks for it any more."""
        for mail in self._mails:
            mail.contact.add_done_callback(lambda task: task.cancelled() or task.exception())

    async def _line(self, mails: list[tuple[_Mail, Contact]]) -> list[int]:
        accepted = []
        for mail, contact in mails:
            if self.settings.blocks(contact.sender.address):
                await self.intake.refused("email", self.account, "blocked sender")
                self.count("blocked")
                continue
            self.count(await self._accept(mail, contact))
            if not mail.hold:  # it stays where its note says that it is
                accepted.append(mail.uid)
        return accepted

    async def _accept(self, mail: _Mail, contact: Contact) -> str:
        now = self.now()
        if mail.hold:
            contact = self._stand_in(mail, contact)
        if mail.backfill:
            contact = contact.model_copy(update={"flags": (*contact.flags, BACKFILL)})
        if self.archived:
            contact = contact.model_copy(update={"archived": True})
        kind = "message/rfc822-headers" if mail.hold else "message/rfc822"
        try:
            acceptance = await self.intake.accept(
                Arrival(contact=contact, raw=mail.raw, media_type=kind, hold=mail.hold), now
            )
        except (TemporaryError, NotFound):  # of the store, or of its policy: no fault of this mail
            raise
        except Exception as error:  # a bug that this mail has found: it must not stop those behind it
            log.exception("a mail could not be accepted", account=self.account, uid=mail.uid)
            detail = f"{self.where} {mail.uid}: {type(error).__name__}"
            await self.intake.set_aside("email", self.account, mail.raw, now, detail=detail, media_type=kind)
            return "set_aside"
        if acceptance.copy:
            return "copy"
        return "held" if mail.hold else "accepted"

    def _stand_in(self, mail: _Mail, contact: Contact) -> Contact:
        """For a mail that stays on the server: its header fields, and where to find it."""
        why = f"it has {mail.size:,} bytes, the limit is {self.max_bytes:,}"
        if mail.hold == UNREADABLE:
            why = "the mail server could not give its text"
        text = f"(This mail was not fetched: {why}. It is still in {self.where} {mail.uid}.)"
        update: dict[str, object] = {"text": text, "flags": (*contact.flags, mail.hold)}
        if not mail.raw:
            update["native_id"] = f"{self.account}/{self.where}/{mail.uid}/{mail.received_at.isoformat()}"[:1024]
        return contact.model_copy(update=update)
