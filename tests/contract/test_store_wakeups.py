"""The wake-ups between processes on PostgreSQL, when the server or a link to it goes away."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy.engine import URL, make_url

from store import wakeups
from store.database import Database
from store.sql import News, news
from store.wakeups import Wakeups
from tests.conftest import need
from tests.kit import postgres
from tests.kit.proxy import Proxy


class Ears:
    """What was heard, in order. None: perhaps anything."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[Collection[News] | None] = asyncio.Queue()

    async def next(self) -> Collection[News] | None:
        async with asyncio.timeout(60):
            return await self.heard.get()


@asynccontextmanager
async def listening(url: URL) -> AsyncIterator[tuple[Wakeups, Ears]]:
    """A process that listens already."""
    ears = Ears()
    made = Wakeups(url, ears.heard.put_nowait)
    made.start()
    try:
        assert await ears.next() is None
        yield made, ears
    finally:
        await made.stop()


@pytest.fixture(autouse=True)
def no_looking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody finds out by asking now and then that a link has ended."""
    monkeypatch.setattr(wakeups, "_ALIVE_S", 3600.0)


def through(proxy: Proxy, url: URL) -> URL:
    return url.set(host="127.0.0.1", port=proxy.port)


@pytest.fixture
async def proxy(postgres_url: str) -> AsyncIterator[Proxy]:
    url = make_url(postgres_url)
    async with Proxy(url.port or 5432, upstream_host=url.host or "127.0.0.1") as made:
        yield made


@pytest.mark.postgres
class TestWakeups:
    async def test_who_only_listens_notices_at_once_that_its_link_was_cut_and_looks_for_what_it_missed(
        self, postgres_url: str, proxy: Proxy
    ) -> None:
        """It noticed when it asked next, up to 15 s later; nothing woke it until then."""
        url = make_url(postgres_url)
        async with listening(through(proxy, url)) as (_, ears), listening(url) as (other, _):
            proxy.cut("reset")
            other.tell(["outbox"])
            await other.stop()
            proxy.heal()
            assert await ears.next() is None, "what was told meanwhile it cannot know"

    async def test_after_a_cut_link_news_comes_as_before(self, postgres_url: str, proxy: Proxy) -> None:
        url = make_url(postgres_url)
        async with listening(through(proxy, url)) as (_, ears), listening(url) as (other, _):
            proxy.cut("reset")
            proxy.heal()
            assert await ears.next() is None
            other.tell(["deliveries"])
            assert await ears.next() == ["deliveries"]

    async def test_news_that_could_not_be_told_is_told_on_the_next_link(self, postgres_url: str, proxy: Proxy) -> None:
        """It was forgotten before it was sent."""
        url = make_url(postgres_url)
        async with listening(url) as (_, ears), listening(through(proxy, url)) as (teller, own):
            proxy.cut("silence")
            teller.tell(["deliveries"])
            await asyncio.sleep(0.05)  # it is on its way
            proxy.heal(reset=True)  # and never arrives
            assert await own.next() is None, "there is a new link"
            assert await ears.next() == ["deliveries"]

    async def test_news_that_comes_while_other_news_is_told_is_told_as_well(
        self, postgres_url: str, proxy: Proxy
    ) -> None:
        url = make_url(postgres_url)
        async with listening(url) as (_, ears), listening(through(proxy, url)) as (teller, _):
            proxy.cut("silence")
            teller.tell(["deliveries"])
            await asyncio.sleep(0.05)
            teller.tell(["outbox"])
            proxy.heal()
            await teller.stop()
            assert [await ears.next(), await ears.next()] == [["deliveries"], ["outbox"]]

    async def test_who_ends_right_after_its_commit_wakes_the_others_all_the_same(
        self, postgres_url: str, tmp_path: Path
    ) -> None:
        """A command ended before its news was sent, mostly before it had a link to send it on."""
        async with listening(make_url(postgres_url)) as (_, ears):
            async with Database.at(postgres_url, tmp_path) as command:
                await command.write(lambda conn: news(conn, "outbox"))
            assert await ears.next() == ["outbox"]

    async def test_who_cannot_tell_its_news_ends_even_so(
        self, postgres_url: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(wakeups, "_FAREWELL_S", 0.01)
        async with listening(through(proxy, make_url(postgres_url))) as (teller, _):
            proxy.cut("silence")
            teller.tell(["outbox"])
            async with asyncio.timeout(60):
                await teller.stop()
            proxy.heal(reset=True)


@pytest.mark.postgres
@pytest.mark.acceptance
async def test_a_server_that_was_killed_and_is_back_wakes_whoever_listens() -> None:
    """Who only listened heard nothing until its next question to a server that had long been back."""
    found = postgres.binaries()
    need(found, postgres.WHAT)
    assert found is not None
    server = await asyncio.to_thread(postgres.Server, found)
    try:
        await asyncio.to_thread(server.start)
        url = make_url(server.url)
        async with listening(url) as (_, ears), listening(url) as (other, _):
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
            assert await ears.next() is None
            other.tell(["outbox"])
            assert await ears.next() == ["outbox"]
    finally:
        await asyncio.to_thread(server.clear)
