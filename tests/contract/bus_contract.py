"""What every bus promises. Inherited by a test class per bus, which gives the fixture `harness`."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

import pytest

from bus.admin import Finding, PartitionsDifferError
from bus.port import Sink, Source
from bus.records import Confirmed, Outgoing, Record, Refused
from bus.topics import TOPICS, Topic, partition_for

TOPIC = TOPICS[0].name
PARTITIONS = 6


class Harness(Protocol):
    """A bus with the topics of the house applied."""

    def sink(self) -> Sink: ...

    def source(self, group: str, topics: Sequence[str]) -> Source: ...

    async def apply(self, topics: Sequence[Topic], partitions: int) -> list[str]: ...

    async def check(self, topics: Sequence[Topic], partitions: int) -> list[Finding]: ...


def out(key: str, value: str, **headers: bytes) -> Outgoing:
    return Outgoing(TOPIC, key, value.encode(), tuple(headers.items()))


async def read(source: Source, count: int, timeout: float = 15.0) -> list[Record]:
    """Read until `count` records have come, committing nothing."""
    found: list[Record] = []
    async with asyncio.timeout(timeout):
        while len(found) < count:
            found.extend(await source.read(100, 0.2))
    return found


async def write(harness: Harness, *records: Outgoing) -> None:
    sink = harness.sink()
    outcomes = await sink.write(records)
    await sink.close()
    assert all(isinstance(outcome, Confirmed) for outcome in outcomes), outcomes


class BusContract:
    async def test_bytes_key_headers_and_place_arrive_unharmed(self, harness: Harness) -> None:
        headers = (("a", b"\x00\xff"), ("a", b""), ("ü", "ü".encode()))
        sink, source = harness.sink(), harness.source("g", [TOPIC])
        [outcome] = await sink.write([Outgoing(TOPIC, "kéy", b"\xff\x00value", headers)])
        assert isinstance(outcome, Confirmed)
        await source.start()
        [record] = await read(source, 1)
        assert (record.key, record.value, record.headers) == ("kéy".encode(), b"\xff\x00value", headers)
        assert (record.topic, record.partition, record.offset) == (TOPIC, outcome.partition, outcome.offset)
        assert record.partition == partition_for("kéy", PARTITIONS)
        assert record.timestamp > 1_700_000_000_000
        await source.close()
        await sink.close()

    async def test_order_holds_per_key_and_every_write_has_its_own_outcome(self, harness: Harness) -> None:
        sink, source = harness.sink(), harness.source("g", [TOPIC])
        for n in range(10):
            outcomes = await sink.write([out(f"key-{k}", str(n)) for k in range(20)])
            assert len(outcomes) == 20
            assert all(isinstance(outcome, Confirmed) for outcome in outcomes)
        assert await sink.write([]) == []
        await source.start()
        seen: dict[bytes | None, list[bytes | None]] = {}
        for record in await read(source, 200):
            seen.setdefault(record.key, []).append(record.value)
        assert len(seen) == 20
        assert all(values == [str(n).encode() for n in range(10)] for values in seen.values())
        await source.close()
        await sink.close()

    async def test_uncommitted_records_are_read_again_and_committed_ones_are_not(self, harness: Harness) -> None:
        await write(harness, *(out("k", str(n)) for n in range(3)))
        first = harness.source("g", [TOPIC])
        await first.start()
        batch = await first.read(2, 10)
        assert [r.value for r in batch] == [b"0", b"1"]
        assert [r.value for r in await read(first, 1)] == [b"2"], "it goes on behind what it gave"
        assert await first.commit(batch) == frozenset(batch.records)
        await first.close()
        second = harness.source("g", [TOPIC])
        await second.start()
        assert [r.value for r in await read(second, 1)] == [b"2"]
        other = harness.source("another group", [TOPIC])
        await other.start()
        assert len(await read(other, 3)) == 3
        await asyncio.gather(second.close(), other.close())

    async def test_seek_back_gives_the_batch_again_and_voids_what_was_read(self, harness: Harness) -> None:
        await write(harness, *(out("k", str(n)) for n in range(4)))
        source = harness.source("g", [TOPIC])
        await source.start()
        first = await source.read(2, 10)
        later = await source.read(2, 10)
        await source.seek_back(first)
        assert await source.commit(later) == frozenset(), "it would skip the batch that was sought back"
        assert [r.value for r in await read(source, 4)] == [b"0", b"1", b"2", b"3"]
        await source.close()

    async def test_a_paused_partition_is_left_out_until_it_is_resumed(self, harness: Harness) -> None:
        a, b = "k", next(k for k in "abcdef" if partition_for(k, 6) != partition_for("k", 6))
        source = harness.source("g", [TOPIC])
        await source.start()
        place = (TOPIC, partition_for(a, PARTITIONS))
        source.pause([place])
        await write(harness, out(a, "1"), out(b, "2"))
        assert [r.value for r in await read(source, 1)] == [b"2"]
        assert len(await source.read(10, 0.3)) == 0
        source.resume([place])
        assert [r.value for r in await read(source, 1)] == [b"1"]
        await source.close()

    async def test_an_empty_read_ends_at_its_timeout(self, harness: Harness) -> None:
        source = harness.source("g", [TOPIC])
        await source.start()
        async with asyncio.timeout(5):
            assert len(await source.read(10, 0.05)) == 0
        await source.close()

    async def test_two_members_share_the_partitions_and_one_takes_over(self, harness: Harness) -> None:
        first, second = harness.source("g", [TOPIC]), harness.source("g", [TOPIC])
        await first.start()
        await write(harness, *(out(f"key-{n}", "early") for n in range(40)))
        batch = await first.read(100, 10)
        assert len(batch)
        joining = asyncio.create_task(second.start())
        while not joining.done():
            await first.read(100, 0.1)  # a member takes part in a rebalance while it lives
        await joining
        assert await first.commit(batch) != frozenset(batch.records), "some partitions went to the other"
        seen: dict[int, set[int]] = {1: set(), 2: set()}
        async with asyncio.timeout(20):
            while len(seen[1] | seen[2]) < PARTITIONS or not (seen[1] and seen[2]):
                await write(harness, *(out(f"key-{n}", "x") for n in range(40)))
                for who, source in ((1, first), (2, second)):
                    batch = await source.read(100, 0.2)
                    await source.commit(batch)
                    seen[who] |= {record.partition for record in batch if record.value == b"x"}
        assert not seen[1] & seen[2] or seen[1] | seen[2] == set(range(PARTITIONS))
        await first.close()
        await write(harness, *(out(f"key-{n}", "late") for n in range(40)))
        late: set[int] = set()
        async with asyncio.timeout(20):
            while len(late) < PARTITIONS:
                late |= {r.partition for r in await second.read(100, 0.2) if r.value == b"late"}
        await second.close()

    async def test_an_oversize_record_is_refused_and_its_neighbours_are_not(self, harness: Harness) -> None:
        sink = harness.sink()
        big = Outgoing(TOPIC, "k", b"x" * 2_000_000)
        outcomes = await sink.write([out("k", "before"), big, out("k", "after")])
        assert [type(outcome) for outcome in outcomes] == [Confirmed, Refused, Confirmed]
        await sink.close()

    async def test_topics_are_applied_once_and_checked(self, harness: Harness) -> None:
        new = Topic("another", TOPICS[0].retention, "")
        assert await harness.check(TOPICS, PARTITIONS) == []
        assert [f.kind for f in await harness.check([new], PARTITIONS)] == ["missing"]
        assert await harness.apply([*TOPICS, new], PARTITIONS) == ["another"]
        assert await harness.apply([*TOPICS, new], PARTITIONS) == []
        assert await harness.check([*TOPICS, new], PARTITIONS) == []

    async def test_another_number_of_partitions_is_refused(self, harness: Harness) -> None:
        new = Topic("another", TOPICS[0].retention, "")
        findings = await harness.check(TOPICS, PARTITIONS + 1)
        assert {f.kind for f in findings} == {"partitions"}
        with pytest.raises(PartitionsDifferError, match="6 partitions, 7 are configured"):
            await harness.apply([*TOPICS, new], PARTITIONS + 1)
        assert [f.kind for f in await harness.check([new], PARTITIONS)] == ["missing"], "nothing was made"
