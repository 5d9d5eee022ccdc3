"""What every host of the router promises. Inherited by a test class per host, which gives the fixture `rig`."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import pytest

from bus.port import Sink, Source
from bus.records import Confirmed, Failed, Outcome, Outgoing
from bus.topics import DEAD_LETTERS, DECISIONS, INTERACTIONS
from router.hosts.triage import Triage
from router.hosts.watchdog import Host, Positions, StuckError, Watchdog
from rules.policy import Policy
from runtime.clock import SystemClock
from schemas.codec import decode, encode
from schemas.dead_letter import DeadLetter
from schemas.decision import Decision, Facts
from schemas.errors import BrokerUnavailable, StoreUnavailable
from schemas.interaction import Interaction
from tests.kit.contacts import email
from tests.kit.policies import accepted, example_policy


class Bus(Protocol):
    def sink(self) -> Sink: ...

    def source(self, group: str, topics: Sequence[str]) -> Source: ...


@dataclass
class Lookup:
    """The store as a host sees it, and the trouble that it may make."""

    away: bool = False
    """It cannot be reached."""
    asked: int = 0
    poison: str = ""
    """Looking up this interaction raises what is no passing trouble."""
    hangs: bool = False
    """It never answers."""

    async def policies(self, versions: set[str]) -> dict[str, Policy]:
        self.asked += 1
        if self.away:
            raise StoreUnavailable("away for a minute")
        return {version: example_policy() for version in versions}

    async def facts(self, batch: Sequence[Interaction]) -> dict[str, Facts]:
        if self.hangs:
            await asyncio.Event().wait()
        if any(interaction.id == self.poison for interaction in batch):
            raise ValueError("a bug that this one meets")
        return {interaction.id: Facts() for interaction in batch}


class Blobs:
    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    async def put(self, data: bytes) -> str:
        self.kept[f"blob:{len(self.kept)}"] = data
        return f"blob:{len(self.kept) - 1}"


class Trouble:
    """A sink that stands before a real one: `fails` writes are not confirmed; `lost` ones are written all the same."""

    def __init__(self, sink: Sink, *, fails: int, lost: bool = False) -> None:
        self._sink = sink
        self.fails = fails
        self._lost = lost

    async def write(self, records: Sequence[Outgoing]) -> list[Outcome]:
        if self.fails <= 0:
            return await self._sink.write(records)
        self.fails -= 1
        if self._lost:
            await self._sink.write(records)
        await asyncio.sleep(0)
        return [Failed("as told") for _ in records]

    async def close(self) -> None:
        await self._sink.close()


class Told:
    """A sink that stands before a real one, and notes what the broker has confirmed: partition → ids of events."""

    def __init__(self, sink: Sink, confirmed: dict[int, set[str]]) -> None:
        self._sink = sink
        self._confirmed = confirmed

    async def write(self, records: Sequence[Outgoing]) -> list[Outcome]:
        outcomes = await self._sink.write(records)
        for record, outcome in zip(records, outcomes, strict=True):
            if isinstance(outcome, Confirmed):
                self._confirmed[outcome.partition].add(str(dict(record.headers)["ce_id"], "utf-8"))
        return outcomes

    async def close(self) -> None:
        await self._sink.close()


@dataclass
class Rig:
    """A bus, and a way to make a host on it."""

    bus: Bus
    make: Callable[[Triage, Sink], Host]
    positions: Callable[[], Awaitable[Positions]]
    """Of the hosts' group on the interactions topic."""
    lookup: Lookup = field(default_factory=Lookup)
    blobs: Blobs = field(default_factory=Blobs)
    hosts: list[Host] = field(default_factory=list)

    def host(self, sink: Sink | None = None) -> Host:
        self.hosts.append(self.make(Triage(self.lookup, self.blobs, SystemClock()), sink or self.bus.sink()))
        return self.hosts[-1]

    async def stop(self) -> None:
        """Every host, also of a test that failed half way: the loop cannot end while one runs."""
        for host in self.hosts:
            async with asyncio.timeout(20):
                await host.stop()

    async def committed(self) -> int:
        return sum(committed for committed, _ in (await self.positions()).values())

    async def until_committed(self, count: int, timeout: float = 40.0) -> None:
        async with asyncio.timeout(timeout):
            while await self.committed() < count:
                await asyncio.sleep(0.2)

    async def put(self, *records: Outgoing) -> None:
        sink = self.bus.sink()
        outcomes = await sink.write(records)
        await sink.close()
        assert all(isinstance(o, Confirmed) for o in outcomes), outcomes

    async def results(self, count: int, timeout: float = 40.0, *, repeats: bool = False) -> list[Decision | DeadLetter]:
        """The first `count` results, from the beginning of both topics. Repeats are allowed (at least once: a group may
        rebalance at any time), and left out unless they are asked for."""
        source = self.bus.source(f"reader-{id(object())}", [DECISIONS, DEAD_LETTERS])
        found: list[Decision | DeadLetter] = []
        try:
            async with asyncio.timeout(timeout):
                await _joined(source)
                while len(found) < count:
                    for record in await source.read(500, 0.2):
                        event = decode(record.headers, record.value)
                        assert isinstance(event, Decision | DeadLetter), event
                        if repeats or event.id not in {known.id for known in found}:
                            found.append(event)
        finally:
            await source.close()
        return found


async def _joined(source: Source) -> None:
    """As soon as the broker, which may be busy, lets it."""
    while True:
        try:
            return await source.start()
        except BrokerUnavailable:
            await asyncio.sleep(0.2)


def interaction(n: int, conversation: str = "c1", **more: object) -> Interaction:
    return accepted(email(f"m{n}@example.org"), id=f"i{n}", conversation_id=conversation, seq=n, **more)


def record(event: Interaction) -> Outgoing:
    encoded = encode(event)
    return Outgoing(INTERACTIONS, encoded.key, encoded.value, encoded.headers)


class HostContract:
    @pytest.fixture(autouse=True)
    async def _nothing_runs_on(self, rig: Rig) -> AsyncIterator[None]:
        yield
        await rig.stop()

    async def test_every_interaction_gets_one_decision_in_the_order_of_its_conversation(self, rig: Rig) -> None:
        await rig.put(*(record(interaction(n, f"c{n % 3}")) for n in range(1, 31)))
        host = rig.host()
        await host.start()
        results = await rig.results(30)
        await host.drain()
        await host.stop()
        assert sorted(r.id for r in results) == sorted(f"i{n}:decision:1" for n in range(1, 31))
        for conversation in ("c0", "c1", "c2"):
            seqs = [r.seq for r in results if isinstance(r, Decision) and r.conversation_id == conversation]
            assert seqs == sorted(seqs)

    async def test_poison_becomes_a_dead_letter_with_its_bytes_and_the_others_go_on(self, rig: Rig) -> None:
        good = record(interaction(1))
        poison = [
            Outgoing(INTERACTIONS, "c1", b"\xff\xfe\x00 no json", good.headers),
            Outgoing(INTERACTIONS, "c1", b"{}", (("ce_type", b"nonsense"),)),
            Outgoing(INTERACTIONS, "c1", b"[" * 20_000, good.headers),
            # Kafka allows a header without a value.
            Outgoing(INTERACTIONS, "c1", b"{}", (("ce_type", None), ("ce_id", b"\xff"))),  # type: ignore[arg-type]
            Outgoing(INTERACTIONS, "c1", good.value.replace(b'"channel":"email"', b'"channel":"fax"'), good.headers),
            Outgoing(INTERACTIONS, "c1", b"x" * 200_000, good.headers),
        ]
        await rig.put(*poison, good, record(interaction(2)))
        host = rig.host()
        await host.start()
        results = await rig.results(8)
        await host.drain()
        await host.stop()
        letters = [r for r in results if isinstance(r, DeadLetter)]
        assert sorted(r.id for r in results if isinstance(r, Decision)) == ["i1:decision:1", "i2:decision:1"]
        assert [letter.raw for letter in letters[:5]] == [p.value for p in poison[:5]]
        assert letters[5].dataref is not None
        assert rig.blobs.kept[letters[5].dataref] == poison[5].value
        assert all(letter.place.topic == INTERACTIONS and letter.detail for letter in letters)
        assert letters[0].headers == good.headers

    async def test_an_interaction_that_breaks_its_batch_is_set_aside_alone(self, rig: Rig) -> None:
        rig.lookup.poison = "i3"
        await rig.put(*(record(interaction(n)) for n in range(1, 8)))
        host = rig.host()
        await host.start()
        results = await rig.results(7)
        await rig.until_committed(7)
        await host.drain()
        await host.stop()
        [letter] = [r for r in results if isinstance(r, DeadLetter)]
        assert letter.interaction_id == "i3"
        assert "a bug that this one meets" in letter.detail
        assert letter.raw == record(interaction(3)).value
        decided = [r.seq for r in results if isinstance(r, Decision)]
        assert decided == [1, 2, 4, 5, 6, 7]

    async def test_while_the_store_is_away_nothing_is_lost_and_nothing_becomes_a_dead_letter(self, rig: Rig) -> None:
        rig.lookup.away = True
        await rig.put(*(record(interaction(n)) for n in range(1, 6)))
        host = rig.host()
        await host.start()
        async with asyncio.timeout(30):
            while rig.lookup.asked < 3:
                await asyncio.sleep(0.05)
        assert "away for a minute" in host.paused
        assert await rig.committed() == 0
        rig.lookup.away = False
        results = await rig.results(5)
        await rig.until_committed(5)
        assert host.paused == ""
        await host.drain()
        await host.stop()
        assert [r.id for r in results] == [f"i{n}:decision:1" for n in range(1, 6)]

    async def test_what_was_not_confirmed_is_written_again_in_order(self, rig: Rig) -> None:
        await rig.put(*(record(interaction(n)) for n in range(1, 6)))
        host = rig.host(Trouble(rig.bus.sink(), fails=3))
        await host.start()
        await rig.put(*(record(interaction(n)) for n in range(6, 9)))
        results = await rig.results(8)
        await rig.until_committed(8)
        await host.drain()
        await host.stop()
        assert [r.seq for r in results if isinstance(r, Decision)] == list(range(1, 9))

    async def test_a_crash_before_the_confirmation_leaves_all_of_it_to_the_next_host(self, rig: Rig) -> None:
        await rig.put(*(record(interaction(n)) for n in range(1, 6)))
        sink = Trouble(rig.bus.sink(), fails=10**9)
        host = rig.host(sink)
        await host.start()
        async with asyncio.timeout(30):
            while sink.fails > 10**9 - 2:
                await asyncio.sleep(0.05)
        await host.stop()
        assert await rig.committed() == 0
        after = rig.host()
        await after.start()
        results = await rig.results(5)
        await after.drain()
        await after.stop()
        assert [r.id for r in results] == [f"i{n}:decision:1" for n in range(1, 6)]

    async def test_a_crash_between_writing_and_the_confirmation_repeats_and_loses_nothing(self, rig: Rig) -> None:
        await rig.put(*(record(interaction(n)) for n in range(1, 6)))
        sink = Trouble(rig.bus.sink(), fails=10**9, lost=True)
        host = rig.host(sink)
        await host.start()
        await rig.results(5)
        await host.stop()
        assert await rig.committed() == 0
        after = rig.host()
        await after.start()
        await rig.until_committed(5)
        await after.drain()
        await after.stop()
        seen = [r.id for r in await rig.results(10, repeats=True)]
        assert set(seen) == {f"i{n}:decision:1" for n in range(1, 6)}

    async def test_three_hosts_come_and_go_and_nothing_is_committed_that_was_not_decided(self, rig: Rig) -> None:
        conversations = [f"c{n}" for n in range(12)]
        total = 0

        async def more() -> None:
            nonlocal total
            events = [interaction(total + n, conversations[n % 12]) for n in range(1, 61)]
            total += 60
            await rig.put(*map(record, events))

        confirmed: dict[int, set[str]] = defaultdict(set)
        hosts = [rig.host(Told(rig.bus.sink(), confirmed)) for _ in range(3)]
        watcher = asyncio.create_task(_never_ahead(rig, confirmed))
        await more()
        await hosts[0].start()
        await rig.until_committed(60)
        await asyncio.gather(more(), hosts[1].start())
        await more()
        await asyncio.gather(more(), hosts[2].start())
        await rig.until_committed(240, 90)
        await asyncio.gather(more(), hosts[0].stop())
        await more()
        await rig.until_committed(360, 90)
        for host in hosts[1:]:
            await host.drain()
            await host.stop()
        watcher.cancel()
        [ended] = await asyncio.gather(watcher, return_exceptions=True)
        assert isinstance(ended, asyncio.CancelledError), ended
        first: dict[str, list[int]] = defaultdict(list)
        for result in await rig.results(360):
            assert isinstance(result, Decision)
            if result.seq not in first[result.conversation_id]:
                first[result.conversation_id].append(result.seq)
        assert sum(map(len, first.values())) == 360
        assert all(seqs == sorted(seqs) for seqs in first.values())

    async def test_a_host_that_is_alive_but_stuck_is_noticed_and_the_next_one_does_its_work(self, rig: Rig) -> None:
        await rig.put(*(record(interaction(n)) for n in range(1, 6)))
        rig.lookup.hangs = True
        host = rig.host()
        watchdog = Watchdog(host, rig.positions, stuck_after_s=1.5, look_every_s=0.2)
        await host.start()
        await watchdog.start()
        async with asyncio.timeout(40):
            error = await watchdog.failed()
        assert isinstance(error, StuckError)
        await watchdog.stop()
        await host.stop()
        rig.lookup.hangs = False
        after = rig.host()
        await after.start()
        assert len(await rig.results(5)) == 5
        await rig.until_committed(5)
        watchdog = Watchdog(after, rig.positions, stuck_after_s=1.5, look_every_s=0.2)
        await watchdog.start()
        quiet = asyncio.create_task(watchdog.failed())
        await asyncio.wait({quiet}, timeout=2.5)
        assert not quiet.done(), "nothing is to be done: that is not being stuck"
        quiet.cancel()
        await watchdog.drain()
        await after.drain()
        await after.stop()

    async def test_the_next_host_goes_on_where_the_last_one_had_confirmed(self, rig: Rig) -> None:
        await rig.put(*(record(interaction(n)) for n in range(1, 6)))
        host = rig.host()
        await host.start()
        await rig.results(5)
        await host.drain()
        await host.stop()
        await rig.put(*(record(interaction(n)) for n in range(6, 11)))
        after = rig.host()
        await after.start()
        found = {r.id for r in await rig.results(10)}
        await after.drain()
        await after.stop()
        assert {f"i{n}:decision:1" for n in range(1, 11)} <= found


async def _never_ahead(rig: Rig, confirmed: dict[int, set[str]]) -> None:
    """At no moment is an offset committed of an interaction whose decision the broker has not confirmed."""
    while True:
        committed = {place[1]: where[0] for place, where in (await rig.positions()).items()}
        # Looked at after asking: what was committed then has been confirmed by now.
        for partition, offset in committed.items():
            decided = len(confirmed[partition])
            assert decided >= offset, f"partition {partition}: {offset} committed, {decided} decided"
        await asyncio.sleep(0.05)
