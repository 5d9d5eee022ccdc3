"""What every host of the router promises. Inherited by a test class per host, which gives the fixture `rig`."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from bus.port import Sink, Source
from bus.records import Confirmed, Outgoing
from bus.topics import DEAD_LETTERS, DECISIONS, INTERACTIONS
from router.hosts.triage import Triage
from rules.policy import Policy
from runtime.clock import SystemClock
from runtime.lifecycle import Service
from schemas.codec import decode, encode
from schemas.dead_letter import DeadLetter
from schemas.decision import Decision, Facts
from schemas.errors import StoreUnavailable
from schemas.interaction import Interaction
from tests.kit.contacts import email
from tests.kit.policies import accepted, example_policy


class Bus(Protocol):
    def sink(self) -> Sink: ...

    def source(self, group: str, topics: Sequence[str]) -> Source: ...


@dataclass
class Lookup:
    """The store as a host sees it; `away` makes it unreachable."""

    away: bool = False
    asked: int = 0

    async def policies(self, versions: set[str]) -> dict[str, Policy]:
        self.asked += 1
        if self.away:
            raise StoreUnavailable("away for a minute")
        return {version: example_policy() for version in versions}

    async def facts(self, batch: Sequence[Interaction]) -> dict[str, Facts]:
        return {interaction.id: Facts() for interaction in batch}


class Blobs:
    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    async def put(self, data: bytes) -> str:
        self.kept[f"blob:{len(self.kept)}"] = data
        return f"blob:{len(self.kept) - 1}"


@dataclass
class Rig:
    """A bus, and a way to make a host on it."""

    bus: Bus
    make: Callable[[Triage], Service]
    lookup: Lookup = field(default_factory=Lookup)
    blobs: Blobs = field(default_factory=Blobs)

    def host(self) -> Service:
        return self.make(Triage(self.lookup, self.blobs, SystemClock()))

    async def put(self, *records: Outgoing) -> None:
        sink = self.bus.sink()
        outcomes = await sink.write(records)
        await sink.close()
        assert all(isinstance(o, Confirmed) for o in outcomes), outcomes

    async def results(self, count: int, timeout: float = 40.0) -> list[Decision | DeadLetter]:
        """The first `count` results, from the beginning of both topics."""
        source = self.bus.source(f"reader-{id(object())}", [DECISIONS, DEAD_LETTERS])
        found: list[Decision | DeadLetter] = []
        try:
            async with asyncio.timeout(timeout):
                await source.start()
                while len(found) < count:
                    for record in await source.read(500, 0.2):
                        event = decode(record.headers, record.value)
                        assert isinstance(event, Decision | DeadLetter), event
                        found.append(event)
        finally:
            await source.close()
        return found


def interaction(n: int, conversation: str = "c1", **more: object) -> Interaction:
    return accepted(email(f"m{n}@example.org"), id=f"i{n}", conversation_id=conversation, seq=n, **more)


def record(event: Interaction) -> Outgoing:
    encoded = encode(event)
    return Outgoing(INTERACTIONS, encoded.key, encoded.value, encoded.headers)


class HostContract:
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

    async def test_while_the_store_is_away_nothing_is_lost_and_nothing_becomes_a_dead_letter(self, rig: Rig) -> None:
        rig.lookup.away = True
        await rig.put(*(record(interaction(n)) for n in range(1, 6)))
        host = rig.host()
        await host.start()
        async with asyncio.timeout(30):
            while rig.lookup.asked < 2:
                await asyncio.sleep(0.05)
        rig.lookup.away = False
        results = await rig.results(5)
        await host.drain()
        await host.stop()
        assert [r.id for r in results] == [f"i{n}:decision:1" for n in range(1, 6)]

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
