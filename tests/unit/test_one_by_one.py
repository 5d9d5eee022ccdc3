"""One bad record of a batch: the others are done, and it is kept."""

from collections.abc import Sequence

import pytest

from bus.one_by_one import do_or_set_aside
from bus.records import Record
from schemas.dead_letter import DeadLetter
from schemas.errors import StoreUnavailable
from tests.kit.contacts import T1

GOOD, BAD = (
    Record("decisions", 0, offset, b"k", value, (("ce_id", b"x"),), 0) for offset, value in ((1, b"good"), (2, b"bad"))
)


class Store:
    def __init__(self, *, takes_headers: bool = True, away: bool = False) -> None:
        self.done: list[Record] = []
        self.kept: list[DeadLetter] = []
        self._takes_headers, self._away = takes_headers, away

    async def do(self, records: Sequence[Record]) -> None:
        if self._away:
            raise StoreUnavailable("away")
        if BAD in records:
            raise ValueError("bad")
        self.done += records

    async def keep(self, letter: DeadLetter) -> None:
        if letter.headers and not self._takes_headers:
            raise ValueError("odd headers")
        self.kept.append(letter)

    async def handle(self, *records: Record) -> None:
        await do_or_set_aside(records, self.do, self.keep, lambda: T1)


async def test_the_culprit_is_kept_and_the_others_are_done() -> None:
    store = Store()
    await store.handle(GOOD, BAD, GOOD)
    assert store.done == [GOOD, GOOD]
    assert [(letter.raw, letter.place.offset, letter.detail) for letter in store.kept] == [
        (b"bad", 2, "ValueError: bad")
    ]


async def test_what_cannot_be_kept_whole_is_kept_without_headers() -> None:
    store = Store(takes_headers=False)
    await store.handle(BAD, GOOD)
    assert store.done == [GOOD]
    assert [(letter.raw, letter.headers) for letter in store.kept] == [(b"bad", ())]


async def test_while_the_store_is_away_nobody_is_a_culprit() -> None:
    store = Store(away=True)
    with pytest.raises(StoreUnavailable):
        await store.handle(GOOD, BAD)
    assert store.kept == []
