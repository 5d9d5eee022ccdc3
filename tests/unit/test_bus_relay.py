import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from bus import relay as relay_module
from bus.memory import MemoryBus
from bus.port import Sink
from bus.records import Outgoing, Record
from bus.relay import Relay
from bus.topics import INTERACTIONS, REPLIES
from runtime.metrics import Metrics
from tests.kit.clock import ManualClock
from tests.kit.outbox import MemoryOutbox
from tests.kit.sinks import FaultySink, memory_bus


def relay_of(outbox: MemoryOutbox, sink: Sink, owner: str = "r1", shards: int | None = None, batch: int = 500) -> Relay:
    return Relay(
        outbox.relay(),
        lambda _: sink,
        "memory",
        "inc-1",
        owner=owner,
        metrics=Metrics(),
        shards=shards,
        batch=batch,
    )


@asynccontextmanager
async def running(relay: Relay) -> AsyncIterator[Relay]:
    await relay.start()
    try:
        yield relay
    finally:
        await relay.stop()


async def settled(outbox: MemoryOutbox, incarnation: str = "inc-1", timeout: float = 10.0) -> None:
    async with asyncio.timeout(timeout):
        while outbox.pending_in(incarnation):
            await asyncio.sleep(0.005)


def first_order(records: Sequence[Record]) -> dict[tuple[str, bytes | None], list[int]]:
    """Positions per lane in the order of their first appearance."""
    lanes: dict[tuple[str, bytes | None], list[int]] = {}
    for record in sorted(records, key=lambda r: (r.topic, r.partition, r.offset)):
        position = int(dict(record.headers)["ce_id"].rsplit(b":", 1)[1])
        seen = lanes.setdefault((record.topic, record.key), [])
        if position not in seen:
            seen.append(position)
    return lanes


def check(bus: MemoryBus, outbox: MemoryOutbox) -> None:
    """Everything but what was refused is there, and each lane is in order."""
    lanes = first_order([*bus.log(INTERACTIONS), *bus.log(REPLIES)])
    expected: dict[tuple[str, bytes | None], list[int]] = {}
    for row in outbox.rows:
        if row.id not in outbox.dead:
            expected.setdefault((row.topic, row.key.encode()), []).append(row.position)
    assert lanes == expected


async def test_everything_goes_out_in_order_and_is_confirmed_with_its_place() -> None:
    bus, outbox = await memory_bus(), MemoryOutbox()
    for n in range(300):
        outbox.write(INTERACTIONS if n % 3 else REPLIES, f"k{n % 7}", str(n))
    async with running(relay_of(outbox, bus.sink(), batch=50)):
        await settled(outbox)
        late = outbox.write(INTERACTIONS, "k1", "late")
        await settled(outbox)
    check(bus, outbox)
    partition, offset = outbox.done["inc-1"][late.id]
    record = next(r for r in bus.log(INTERACTIONS) if r.partition == partition and r.offset == offset)
    assert record.value == b"late"
    assert len(bus.log(INTERACTIONS)) + len(bus.log(REPLIES)) == 301, "nothing twice"


async def test_a_failure_stops_its_own_lane_and_no_other() -> None:
    bus, outbox = await memory_bus(), MemoryOutbox()
    failing = True

    def fault(record: Outgoing) -> str | None:
        bad = (record.topic, record.key, record.value) == (INTERACTIONS, "bad", b"1")
        return "fail" if failing and bad else None

    sink = FaultySink(bus, fault)
    for n in range(4):
        outbox.write(INTERACTIONS, "bad", str(n))
        outbox.write(REPLIES, "bad", str(n))
        outbox.write(INTERACTIONS, "good", str(n))
    same_shard = next(f"x{n}" for n in range(99) if outbox.write(REPLIES, f"x{n}", "0").shard == outbox.rows[0].shard)
    async with running(relay_of(outbox, sink)):
        async with asyncio.timeout(5):
            while {(r.topic, r.key) for r in outbox.pending_in("inc-1")} != {(INTERACTIONS, "bad")}:
                await asyncio.sleep(0.005)
        assert [r.value for r in outbox.pending_in("inc-1")] == [b"1", b"2", b"3"]
        assert [r.value for r in bus.log(INTERACTIONS) if r.key == b"bad"] == [b"0"], "nothing went around it"
        outbox.write(REPLIES, same_shard, "new")
        async with asyncio.timeout(5):
            while len(outbox.pending_in("inc-1")) > 3:
                await asyncio.sleep(0.005)
        failing = False
        await settled(outbox)
    check(bus, outbox)


async def test_a_refused_row_becomes_a_dead_letter_and_the_next_goes_on() -> None:
    bus, outbox = await memory_bus(), MemoryOutbox()
    outbox.write(INTERACTIONS, "k", "a")
    big = outbox.write(INTERACTIONS, "k", "b", size=2_000_000)
    outbox.write(INTERACTIONS, "k", "c")
    async with running(relay_of(outbox, bus.sink())):
        await settled(outbox)
    assert list(outbox.dead) == [big.id]
    assert "limit" in outbox.dead[big.id]
    assert [r.value for r in bus.log(INTERACTIONS)] == [b"a", b"c"]


async def test_a_lane_that_comes_free_while_rows_are_sorted_does_not_begin_in_its_middle() -> None:
    class Hurrying(ManualClock):
        def monotonic(self) -> float:
            self.advance(0.4)
            return super().monotonic()

    outbox = MemoryOutbox()
    for n in range(4):
        outbox.write(INTERACTIONS, "k", str(n))
    relay = Relay(outbox.relay(), lambda _: None, "", "", owner="r", metrics=Metrics(), clock=Hurrying())  # type: ignore[arg-type, return-value]
    relay._leased = {row.shard: 1 for row in outbox.rows}
    relay._blocked[(INTERACTIONS, "k")] = (0, relay._clock.monotonic() + 1.0)
    assert [row.position for lane in relay._lanes(outbox.rows).values() for row in lane] in ([], [0, 1, 2, 3])


@pytest.mark.parametrize("seed", range(8))
async def test_order_holds_under_random_failures_and_lost_confirmations(seed: int) -> None:
    bus, outbox, rng = await memory_bus(), MemoryOutbox(), random.Random(seed)
    sink = FaultySink(bus, lambda _: rng.choices(["fail", "lost", None], [1, 1, 5])[0])
    async with running(relay_of(outbox, sink, batch=rng.choice([3, 20]))):
        for n in range(60):
            outbox.write(rng.choice([INTERACTIONS, REPLIES]), f"k{rng.randrange(4)}", str(n))
            if n % 10 == 0:
                await asyncio.sleep(0.002)
                outbox.down = rng.random() < 0.3
        outbox.down = False
        await settled(outbox, timeout=60)
    check(bus, outbox)
    assert all(len({(r.topic, r.key) for r in wave}) == len(wave) for wave in sink.waves)


async def test_a_new_incarnation_gets_everything_again_in_order() -> None:
    old, new, outbox = await memory_bus(), await memory_bus(), MemoryOutbox()
    buses = {"old": old, "new": new}
    for n in range(20):
        outbox.write(INTERACTIONS, f"k{n % 3}", str(n))
    relay = Relay(outbox.relay(), lambda address: buses[address].sink(), "old", "inc-1", owner="r", metrics=Metrics())
    async with running(relay):
        await settled(outbox)
        old.down = True
        for n in range(20, 30):
            outbox.write(INTERACTIONS, f"k{n % 3}", str(n))
        await asyncio.sleep(0.05)
        await relay.reconnect("new", "inc-2")
        await settled(outbox, "inc-2")
    assert len(new.log(INTERACTIONS)) == 30
    check(new, outbox)
    assert len(outbox.done["inc-1"]) == 20


async def test_two_relays_share_the_shards_and_one_takes_over() -> None:
    bus, outbox = await memory_bus(), MemoryOutbox()
    first = relay_of(outbox, bus.sink(), owner="a", shards=3)
    second = relay_of(outbox, bus.sink(), owner="b", shards=6)
    async with running(second):
        async with running(first):
            for n in range(60):
                outbox.write(INTERACTIONS, f"k{n}", str(n))
            await settled(outbox)
        outbox.leases = {s: ("", e, 0.0) for s, (_, e, _u) in outbox.leases.items()}
        for n in range(60):
            outbox.write(INTERACTIONS, f"k{n}", str(n))
        second._renewed = float("-inf")  # the lease's renewal is due in seconds, not in a test
        await settled(outbox)
    check(bus, outbox)


async def test_a_relay_whose_lease_was_taken_confirms_nothing() -> None:
    bus, outbox = await memory_bus(), MemoryOutbox()
    relay = relay_of(outbox, bus.sink())
    await relay.start()
    await asyncio.sleep(0.02)
    outbox.leases = {shard: ("other", epoch + 1, 1e12) for shard, (_, epoch, _u) in outbox.leases.items()}
    outbox.write(INTERACTIONS, "k", "1")
    await asyncio.sleep(0.05)
    assert outbox.done.get("inc-1", {}) == {}
    await relay.stop()
    assert all(lease[0] == "other" for lease in outbox.leases.values())


async def test_drain_returns_when_nothing_is_pending() -> None:
    bus, outbox = await memory_bus(), MemoryOutbox()
    for n in range(50):
        outbox.write(INTERACTIONS, "k", str(n))
    relay = relay_of(outbox, bus.sink())
    await relay.start()
    async with asyncio.timeout(5):
        await relay.drain()
    assert outbox.pending_in("inc-1") == []
    await relay.stop()
    assert all(lease[0] == "" for lease in outbox.leases.values())


async def test_outcomes_are_counted() -> None:
    bus, outbox, metrics = await memory_bus(), MemoryOutbox(), Metrics()
    outbox.write(INTERACTIONS, "k", "1")
    sink = bus.sink()
    relay = Relay(outbox.relay(), lambda _: sink, "m", "inc-1", owner="r", metrics=metrics)
    async with running(relay):
        await settled(outbox)
    assert 'relay_published_total{topic="interactions"} 1.0' in metrics.render().decode()


async def test_a_relay_that_rests_goes_on_when_the_broker_is_back_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_module, "_IDLE_S", 3600.0)
    outbox = MemoryOutbox()
    buses = {"old": await memory_bus(), "new": await memory_bus()}
    outbox.write(INTERACTIONS, "k", "1")
    relay = Relay(outbox.relay(), lambda address: buses[address].sink(), "old", "inc-1", owner="r", metrics=Metrics())
    async with running(relay):
        await relay.drain()  # it is at rest after this
        await relay.reconnect("new", "inc-2")
        await settled(outbox, "inc-2")
    assert len(buses["new"].log(INTERACTIONS)) == 1
