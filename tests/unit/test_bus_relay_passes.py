"""What one pass of the relay does, and what it says of itself afterwards."""

from collections.abc import Sequence

import pytest

from bus.port import Sink
from bus.records import Outcome, Outgoing
from bus.relay import OutboxRow, Relay
from bus.topics import INTERACTIONS
from runtime.metrics import Metrics
from schemas.errors import StoreUnavailable
from tests.kit.clock import ManualClock
from tests.kit.outbox import MemoryOutbox
from tests.kit.sinks import FaultySink, memory_bus


class TestOnePass:
    """Passes that the test makes, one by one, at a time that stands still."""

    @pytest.fixture
    def clock(self) -> ManualClock:
        return ManualClock()

    @pytest.fixture
    def outbox(self, clock: ManualClock) -> MemoryOutbox:
        return MemoryOutbox(clock=clock)

    def relay(self, outbox: MemoryOutbox, sink: Sink, clock: ManualClock, *more: Sink) -> Relay:
        """`more`: the sinks of the brokers that come after this one."""
        later = iter(more)
        made = Relay(outbox.relay(), lambda _: next(later), "m", "inc-1", owner="r", metrics=Metrics(), clock=clock)
        made._sink = sink
        return made

    async def test_it_is_unhealthy_while_nothing_goes_through(self, outbox: MemoryOutbox, clock: ManualClock) -> None:
        """Readiness said yes while the broker took nothing for as long as it stood still."""
        broken = {"bad", "good"}
        relay = self.relay(outbox, FaultySink(await memory_bus(), lambda r: "fail" if r.key in broken else None), clock)
        outbox.write(INTERACTIONS, "bad", "1")
        outbox.write(INTERACTIONS, "good", "1")
        healthy = []
        for repaired in ("", "", "good", "bad"):
            broken.discard(repaired)
            await relay.publish_pending()
            healthy.append(relay.healthy)
            await relay.publish_pending()  # everything is left out for a while
            healthy.append(relay.healthy)
            clock.advance(5.0)
        assert healthy == [False, False, False, False, True, True, True, True]
        assert outbox.pending_in("inc-1") == []

    async def test_it_is_healthy_again_when_what_failed_is_no_more(
        self, outbox: MemoryOutbox, clock: ManualClock
    ) -> None:
        relay = self.relay(outbox, FaultySink(await memory_bus(), lambda _: "fail"), clock)
        await relay.publish_pending()
        assert relay.healthy, "there is nothing to do"
        row = outbox.write(INTERACTIONS, "k", "1")
        await relay.publish_pending()
        assert not relay.healthy
        outbox.dead[row.id] = "somebody else did it"
        clock.advance(5.0)
        await relay.publish_pending()
        assert relay.healthy

    async def test_shards_that_were_lost_do_not_keep_it_unhealthy(
        self, outbox: MemoryOutbox, clock: ManualClock
    ) -> None:
        relay = self.relay(outbox, FaultySink(await memory_bus(), lambda _: "fail"), clock)
        outbox.write(INTERACTIONS, "k", "1")
        await relay.publish_pending()
        clock.advance(11.0)
        outbox.take("other", None, 100.0)
        await relay.publish_pending()
        assert relay.healthy, "what is there is others' to do"

    async def test_a_shard_that_comes_free_during_a_pass_that_left_it_out_still_counts_as_blocked(
        self, outbox: MemoryOutbox, clock: ManualClock
    ) -> None:
        """It was taken for one in which nothing was left: a drain ended although rows were pending."""
        relay = self.relay(outbox, FaultySink(await memory_bus(), lambda _: "fail"), clock)
        row = outbox.write(INTERACTIONS, "k", "1")
        await relay.publish_pending()
        relay._blocked = {what: (1, clock.monotonic() + 1.0) for what in relay._blocked}
        pending = relay._outbox.pending

        async def slow(*arguments: object) -> list[OutboxRow]:
            clock.advance(2.0)
            return await pending(*arguments)  # type: ignore[arg-type]

        relay._outbox.pending = slow  # type: ignore[method-assign, assignment]
        await relay.publish_pending()
        assert row.shard in relay._blocked
        assert not relay.healthy

    async def test_a_shard_that_was_lost_goes_no_further_in_the_pass(
        self, outbox: MemoryOutbox, clock: ManualClock
    ) -> None:
        """Else two relays publish one lane at a time, around each other."""
        for n in range(3):
            outbox.write(INTERACTIONS, "k", str(n))

        def taken_over(_: Outgoing) -> None:
            clock.advance(11.0)
            outbox.take("other", None, 100.0)

        sink = FaultySink(await memory_bus(), taken_over)
        await self.relay(outbox, sink, clock).publish_pending()
        assert [[r.value for r in wave] for wave in sink.waves] == [[b"0"]]
        assert outbox.done == {"inc-1": {}}, "under whose epoch it went out is no more"

    async def test_what_was_sent_under_an_old_epoch_does_not_count_under_the_new_one(
        self, outbox: MemoryOutbox, clock: ManualClock
    ) -> None:
        outbox.write(INTERACTIONS, "k", "0")

        class Away(FaultySink):
            async def write(self, records: Sequence[Outgoing]) -> list[Outcome]:
                found = await super().write(records)
                clock.advance(11.0)
                outbox.take("other", None, 1.0)
                clock.advance(2.0)
                await relay._renew()  # whoever does it, whenever: the shards are ours again
                return found

        relay = self.relay(outbox, Away(await memory_bus()), clock)
        await relay.publish_pending()
        assert outbox.leases[outbox.rows[0].shard][:2] == ("r", 3)
        assert outbox.done == {"inc-1": {}}

    async def test_a_lane_goes_by_positions_not_by_the_order_in_which_its_rows_were_read(
        self, outbox: MemoryOutbox, clock: ManualClock
    ) -> None:
        bus = await memory_bus()
        for n in range(4):
            outbox.write(INTERACTIONS, "k", str(n))
        outbox.rows.reverse()
        await self.relay(outbox, bus.sink(), clock).publish_pending()
        assert [r.value for r in bus.log(INTERACTIONS)] == [b"0", b"1", b"2", b"3"]

    async def test_a_pass_ends_when_the_broker_has_moved_and_the_new_one_gets_everything(
        self, outbox: MemoryOutbox, clock: ManualClock
    ) -> None:
        for n in range(3):
            outbox.write(INTERACTIONS, "k", str(n))

        class Moving(FaultySink):
            async def write(self, records: Sequence[Outgoing]) -> list[Outcome]:
                found = await super().write(records)
                await relay.reconnect("n", "inc-2")
                return found

        old, new = Moving(await memory_bus()), await memory_bus()
        relay = self.relay(outbox, old, clock, new.sink())
        assert await relay.publish_pending(), "at once again"
        assert [[r.value for r in wave] for wave in old.waves] == [[b"0"]]
        assert set(outbox.done) == {"inc-1"}, "the new one has confirmed nothing"
        await relay.publish_pending()
        assert [r.value for r in new.log(INTERACTIONS)] == [b"0", b"1", b"2"]
        await relay.stop()

    async def test_what_the_old_broker_did_not_take_is_not_kept_from_the_new_one(
        self, outbox: MemoryOutbox, clock: ManualClock
    ) -> None:
        new = await memory_bus()
        relay = self.relay(outbox, FaultySink(await memory_bus(), lambda _: "fail"), clock, new.sink())
        outbox.write(INTERACTIONS, "k", "1")
        await relay.publish_pending()
        await relay.reconnect("n", "inc-2")
        await relay.publish_pending()
        assert len(new.log(INTERACTIONS)) == 1
        await relay.stop()

    async def test_a_lease_that_could_not_be_renewed_for_long_is_nobodys(
        self, outbox: MemoryOutbox, clock: ManualClock
    ) -> None:
        relay = self.relay(outbox, FaultySink(await memory_bus()), clock)
        await relay.publish_pending()
        outbox.down = True
        held = []
        for _ in range(2):
            clock.advance(4.0)
            with pytest.raises(StoreUnavailable):
                await relay.publish_pending()
            held.append(len(relay._leased))
        assert held == [6, 0]
