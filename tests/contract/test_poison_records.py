"""Whatever somebody writes to our topics, its partition goes on, and it is kept as a dead letter, on every database."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from bus.dead_letters import dead_letter
from bus.records import Batch, Record
from bus.topics import DECISIONS, INTERACTIONS, REPLIES, partition_for
from channels.senders import SenderIntake
from router.applier.applier import Applier
from router.policies import PolicyBook
from runtime.metrics import Metrics
from schemas.codec import encode
from store import dead_letters, deliveries
from store.database import Database
from store.dead_letters import Stored
from store.outbox import Outbox
from tests.kit.clock import ManualClock
from tests.kit.contacts import T1
from tests.kit.events import examples

NUL, LONG = "a\0b", "".join(chr(33 + n * 7919 % 90) for n in range(9000))
"""PostgreSQL takes neither in a key."""


def record(topic: str, offset: int, *, key: str = "k", value: bytes = b"{", headers: Any = ()) -> Record:
    return Record(topic, 0, offset, key.encode(), value, headers, 0)


def headers(identity: str, type_: str = "switchboard.decision.made.v1") -> tuple[tuple[str, bytes], ...]:
    return (
        ("ce_specversion", b"1.0"),
        ("ce_id", identity.encode()),
        ("ce_source", b"/switchboard"),
        ("ce_type", type_.encode()),
        ("content-type", b"application/json"),
    )


async def letters(database: Database) -> list[Stored]:
    return await database.read(lambda conn: dead_letters.listing(conn, "open", 100))


async def apply(database: Database, records: Sequence[Record]) -> None:
    out = Outbox(lambda key: partition_for(key, 6))
    applier = Applier(database, out, PolicyBook(database), ManualClock(T1), Metrics())
    await applier.handle(Batch({(DECISIONS, 0): tuple(records)}))


@pytest.mark.parametrize("odd", [NUL, LONG], ids=["NUL", "long"])
async def test_a_key_or_id_that_no_store_takes_does_not_stop_a_partition(database: Database, odd: str) -> None:
    """With a NUL in it PostgreSQL refused the dead letter, which was tried again for ever."""
    poison = [
        record(DECISIONS, 1, key=odd),
        record(DECISIONS, 2, headers=headers(odd)),
        record(INTERACTIONS, 3, headers=headers(odd)),
        record(DECISIONS, 4, headers=((odd, odd.encode()),)),
    ]
    await apply(database, [*poison, record(DECISIONS, 5)])
    kept = await letters(database)
    assert {stored.letter.place.offset for stored in kept} == {1, 2, 3, 4, 5}
    assert all(stored.letter.raw == b"{" for stored in kept)


async def test_a_dead_letter_of_the_topic_that_cannot_be_kept_is_kept_without_what_is_odd(database: Database) -> None:
    letter = dead_letter(record(INTERACTIONS, 7), "invalid", "odd", at=T1).model_copy(
        update={"id": NUL, "conversation_id": NUL, "media_type": NUL}
    )
    made = encode(letter)
    await apply(database, [Record(DECISIONS, 0, 8, b"k", made.value, made.headers, 0), record(DECISIONS, 9)])
    assert len(await letters(database)) == 2


class TestReplies:
    async def take_in(self, database: Database, records: Sequence[Record]) -> None:
        store: Any = SimpleNamespace(database=database)
        await SenderIntake(store, ManualClock(T1)).handle(Batch({(REPLIES, 0): tuple(records)}))

    @pytest.mark.parametrize("field", ["account", "session_id", "reference"])
    async def test_one_that_no_store_takes_holds_no_other_up(
        self, database: Database, tmp_path: Path, field: str
    ) -> None:
        """A single bad reply failed its whole batch, again and again."""
        good = encode(examples()["reply"])
        body = orjson.loads(good.value)
        odd = orjson.dumps({**body, "id": "odd", field: NUL})
        await self.take_in(
            database,
            [
                Record(REPLIES, 0, 1, b"k", odd, good.headers, 0),
                record(REPLIES, 2, key=NUL),
                Record(REPLIES, 0, 3, good.key.encode(), good.value, good.headers, 0),
            ],
        )
        rows = await database.read(lambda conn: deliveries.of_conversation(conn, body["conversation_id"]))
        assert body["id"] in {row.reply_id for row in rows}, "the good one goes out"
        kept = {stored.letter.place.offset for stored in await letters(database)}
        assert kept in ({2}, {1, 2}), "SQLite takes a NUL"
