"""The intake of the senders: replies from the topic become rows of the delivery ledger, and only then are acked."""

from collections.abc import Sequence

from sqlalchemy.engine import Connection

from bus.dead_letters import whole_letter
from bus.one_by_one import do_or_set_aside
from bus.records import Batch, Record
from runtime.clock import Clock
from schemas.codec import Invalid, decode
from schemas.dead_letter import DeadLetter
from schemas.reply import Reply
from store import dead_letters, deliveries
from store.store import Store


class SenderIntake:
    """`handle` is what a pump over the replies topic calls. Raises StoreUnavailable."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def handle(self, batch: Batch) -> None:
        await do_or_set_aside(list(batch), self._do, self._keep, self._clock.now)

    async def _do(self, records: Sequence[Record]) -> None:
        now = self._clock.now()
        found: list[Reply] = []
        letters: list[DeadLetter] = []
        for record in records:
            event = decode(record.headers, record.value)
            if isinstance(event, Reply):
                found.append(event)
            else:
                why = event if isinstance(event, Invalid) else Invalid("invalid", f"a {event.TYPE} is no reply")
                letters.append(whole_letter(record, why.reason, why.detail, at=now))

        def work(conn: Connection) -> None:
            deliveries.copy_in(conn, found, now)
            for letter in letters:
                dead_letters.add(conn, letter)

        await self._store.database.write(work)

    async def _keep(self, letter: DeadLetter) -> None:
        await self._store.database.write(lambda conn: dead_letters.add(conn, letter))
