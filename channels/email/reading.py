"""From a mail's bytes to a Contact, for every door: parsed in worker processes that can be killed one by one."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from channels.email.parser.parse import unparsed
from channels.email.parser.worker import packed
from channels.email.settings import EmailSettings, own_addresses
from channels.email.threading import Tokens
from runtime.logs import get_logger
from runtime.workers import WorkerCrashed, WorkerPool, WorkerRaised, WorkerTimeout
from schemas import limits
from schemas.interaction import Contact, EmailContent

TARGET = "channels.email.parser.worker:work"

log = get_logger(__name__)


class MailReader:
    """Service. Starts before the doors that use it and stops after them."""

    name = "mail reader"

    def __init__(self, accounts: Mapping[str, EmailSettings], secret: bytes, *, size: int = 2) -> None:
        self._accounts = accounts
        self._tokens = Tokens(secret)
        self._own = own_addresses(accounts)
        self.workers = WorkerPool(
            TARGET, size=size, deadline_s=limits.PARSE_TIMEOUT.total_seconds(), name="mail parser"
        )

    async def start(self) -> None:
        await self.workers.start()

    async def drain(self) -> None:
        """Nothing to do: the doors drain first, and each mail has its deadline."""

    async def stop(self) -> None:
        await self.workers.stop()

    async def read(
        self,
        raw: bytes,
        account: str,
        received_at: datetime,
        *,
        envelope_from: str | None = None,
        envelope_to: Sequence[str] = (),
    ) -> Contact:
        """`envelope_from`: "" for a null return path, None when the door did not see it. A mail that the parser does
        not survive is a contact for a person. Raises WorkersUnavailable: no mail is parsed in this process, which
        nobody could stop."""
        settings = self._accounts[account]
        job = {
            "account": account,
            "received_at": received_at.isoformat(),
            "envelope_from": envelope_from,
            "envelope_to": list(envelope_to),
            "own_addresses": self._own,
            "queue": settings.queue,
            **settings.told_to_parser(),
        }
        try:
            answer = await self.workers.run(packed(job, raw))
            return self.signed(Contact.model_validate_json(answer), envelope_to)
        except (WorkerTimeout, WorkerCrashed, WorkerRaised) as error:
            log.warning("a mail could not be parsed", error=str(error), bytes=len(raw))
            why = "it could not be parsed in time" if isinstance(error, WorkerTimeout) else "the parser failed on it"
            return unparsed(
                raw,
                why,
                account=account,
                received_at=received_at,
                envelope_from=envelope_from,
                queue=settings.queue,
            )

    def signed(self, contact: Contact, envelope_to: Sequence[str] = ()) -> Contact:
        """With what the tokens in it say. The parser's process does not know the key."""
        content = contact.content
        assert isinstance(content, EmailContent)
        addresses = (*content.to, *content.cc, *content.delivered_to)
        mentions = (*content.in_reply_to, *content.references)
        makers: Sequence[str] = (contact.sender.address,)
        update: dict[str, object] = {}
        if content.bounce is not None:
            # It comes to the return path, whose token was made for the customer. Whether that is whom the report names,
            # if anybody, is another matter: of a mail that was forwarded it names the last stop, of a copy its reader.
            makers, addresses = content.bounce.recipients, (*envelope_to, *addresses)
            if (claim := self._tokens.claimed(addresses)) is not None:
                said = {"about_conversation": claim[0], "about_prefix": claim[1]}
                update["bounce"] = content.bounce.model_copy(update=said)
        for maker in makers:
            conversation, _ = self._tokens.read(addresses, mentions, maker)
            if conversation is not None:
                update["token_of"] = conversation
                break
        return contact.model_copy(update={"content": content.model_copy(update=update)}) if update else contact
