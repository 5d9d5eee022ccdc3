"""The chaos run's own parts: cast and faults come from the seed alone, the proxy spoils links as told."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.chaos.players import through_of
from tests.chaos.recovery import percentile
from tests.chaos.schedule import plan
from tests.chaos.script import SHARES, cast
from tests.kit.proxy import Proxy, ProxyProcess

TARGETS = {"kill": ("relay-1", "router-1", "broker"), "pause": ("broker",), "refuse": ("smtp",)}


@given(st.integers(0, 10**6), st.integers(1, 400))
def test_a_seed_gives_one_cast_which_writes_as_many_contacts_as_asked(seed: int, count: int) -> None:
    people = cast(seed, count)
    assert people == cast(seed, count)
    ids = [message.id for customer in people for message in customer.messages]
    assert len(ids) == len(set(ids)) == count
    assert len({customer.name for customer in people}) == len(people)


def test_every_channel_has_its_share() -> None:
    written = Counter[str]()
    for customer in cast(1, 1000):
        written[customer.channel] += len(customer.messages)
    assert written == {channel: 1000 * share for channel, share in SHARES.items()}


@given(st.integers(0, 10**6), st.integers(0, 60))
def test_a_seed_gives_one_schedule(seed: int, count: int) -> None:
    faults = plan(seed, count, TARGETS)  # type: ignore[arg-type]
    assert faults == plan(seed, count, TARGETS)  # type: ignore[arg-type]
    assert [fault.number for fault in faults] == list(range(count))
    assert [fault.at for fault in faults] == sorted(fault.at for fault in faults)
    assert all(fault.target in TARGETS[fault.kind] for fault in faults)
    assert plan(seed + 1, count, TARGETS) != faults or count == 0  # type: ignore[arg-type]


def test_everything_is_hit_once_before_anything_is_hit_again() -> None:
    hits = Counter((fault.kind, fault.target) for fault in plan(3, 10, TARGETS))  # type: ignore[arg-type]
    assert set(hits.values()) == {2}


def test_what_an_agent_says_to_have_answered() -> None:
    assert through_of("[k] It is taken care of, SB-1. through=3") == 3
    assert through_of("Mon–Sun 00:00–24:00") == 0


def test_percentiles_count_what_never_recovered() -> None:
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert percentile([1.0, float("inf")], 0.99) == float("inf")


class Echo:
    """A server that says everything back, through a proxy; `dial` opens a link."""

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy

    async def dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.proxy.port)


@pytest.fixture
async def echo() -> AsyncIterator[Echo]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server, Proxy(server.sockets[0].getsockname()[1]) as proxy:
        yield Echo(proxy)


async def test_a_proxy_passes_everything_on_and_ends_when_the_other_side_does(echo: Echo) -> None:
    reader, writer = await echo.dial()
    data = bytes(range(256)) * 8000

    async def send() -> None:
        writer.write(data)
        await writer.drain()

    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        group.create_task(send())
        assert await reader.readexactly(len(data)) == data
    writer.write_eof()
    assert await reader.read() == b""
    writer.close()


async def test_a_reset_ends_links_with_rst_and_new_ones_at_once(echo: Echo) -> None:
    reader, writer = await echo.dial()
    writer.write(b"a")
    assert await reader.readexactly(1) == b"a"
    echo.proxy.cut("reset")
    with pytest.raises(ConnectionResetError):
        async with asyncio.timeout(20):
            await reader.read()
    again, _ = await echo.dial()
    with pytest.raises(ConnectionResetError):
        async with asyncio.timeout(20):
            await again.read()
    echo.proxy.heal()
    healed, back = await echo.dial()
    back.write(b"b")
    async with asyncio.timeout(20):
        assert await healed.readexactly(1) == b"b"
    for link in (writer, back):
        link.close()


async def test_silence_keeps_what_was_said_until_it_heals(echo: Echo) -> None:
    reader, writer = await echo.dial()
    echo.proxy.cut("silence")
    writer.write(b"waits")
    late, other = await echo.dial()
    other.write(b"so does this")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await reader.read(1)
    echo.proxy.heal()
    async with asyncio.timeout(20):
        assert await reader.readexactly(5) == b"waits"
        assert await late.readexactly(12) == b"so does this"
    for link in (writer, other):
        link.close()


async def test_silence_may_end_with_rst(echo: Echo) -> None:
    reader, writer = await echo.dial()
    echo.proxy.cut("silence")
    writer.write(b"is never heard")
    echo.proxy.heal(reset=True)
    with pytest.raises(ConnectionResetError):
        async with asyncio.timeout(20):
            await reader.read()
    writer.close()


async def test_latency_keeps_the_order_even_when_it_ends(echo: Echo) -> None:
    echo.proxy.latency_s = 0.02
    reader, writer = await echo.dial()
    for n in range(20):
        writer.write(bytes([n]))
        await asyncio.sleep(0)
        if n == 10:
            echo.proxy.latency_s = 0.0
    async with asyncio.timeout(20):
        assert await reader.readexactly(20) == bytes(range(20))
    writer.close()


async def test_proxies_in_a_process_of_their_own_do_as_they_are_told(echo: Echo) -> None:
    far = ProxyProcess()
    await far.start({"far": (echo.proxy.port, 0)})
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", far.ports["far"])
        async with asyncio.timeout(20):
            writer.write(b"a")
            assert await reader.readexactly(1) == b"a"
            await far.cut("far", "silence")
            writer.write(b"b")
            await far.slow("far", 0.05)
            await far.heal("far")
            assert await reader.readexactly(1) == b"b"
            await far.cut("far", "reset")
            with pytest.raises(ConnectionResetError):
                await reader.read()
    finally:
        await far.stop()
