"""The checker on hand-made runs: a good one passes, and each invariant, broken once, is named."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit import history
from tests.kit.checker import check
from tests.kit.checker_house import APPLIER, ROUTER, SENDERS
from tests.kit.evidence import (
    Acceptance,
    Delivery,
    Evidence,
    Interaction,
    OutboxRow,
    Reply,
    Report,
    Seen,
    StoreDump,
    WorkItemChange,
    contacts_of,
)
from tests.kit.history import Event

MAIL = "sb.1@shop.example"


class World:
    """Ann writes two mails; a machine acknowledges the first, agent Ada answers both. All of it in order."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.clock = 0.0
        self.calls = 0
        ask = {"channel": "email", "thread": "ann", "expect": "answer"}
        self.did("ann", "write", "m1", ask, seq=1)
        self.did("ann", "write", "m2", ask, seq=2)
        self.saw("ann", "ack@shop.example", automatic=True, in_reply_to="m1")
        self.lease("outbox:0", 1, "relay1")
        self.did("ada", "claim", "w1", {}, epoch=1)
        self.did("ada", "complete", "w1", {"epoch": 1, "verb": "complete"})
        self.saw("ann", MAIL, text="It is taken care of.")
        self.store = StoreDump(
            acceptances=[Acceptance(interaction_id=i, channel="email") for i in ("i1", "i2")],
            interactions=[
                Interaction(id="i1", contact="m1", channel="email", conversation="c", seq=1, state="answered"),
                Interaction(id="i2", contact="m2", channel="email", conversation="c", seq=2, state="answered"),
            ],
            last_seq={"c": 2},
            replies=[
                Reply(id="i1:answer:1", conversation="c", automatic=True, acknowledgement=True, answers=["i1"]),
                Reply(id="r1", conversation="c", answers=["i1", "i2"], through=2, created_at=1.0),
            ],
            deliveries=[
                Delivery(
                    reply_id="i1:answer:1",
                    recipient="ann",
                    channel="email",
                    state="sent",
                    provider_id="ack@shop.example",
                ),
                Delivery(reply_id="r1", recipient="ann", channel="email", state="sent", provider_id=MAIL),
            ],
            reports=[
                Report(reply_id="i1:answer:1", recipient="ann", change=2, state="sent"),
                Report(reply_id="r1", recipient="ann", change=2, state="sent"),
            ],
            work_items=[
                WorkItemChange(id="w1", conversation="c", version=1, epoch=0, state="queued"),
                WorkItemChange(id="w1", conversation="c", version=2, epoch=1, state="assigned", agent="ada"),
                WorkItemChange(id="w1", conversation="c", version=3, epoch=1, state="completed", agent="ada"),
            ],
            outbox=[
                row("i1", "interactions", 1, 0),
                row("i2", "interactions", 2, 1),
                row("i1:answer:1", "replies", 1, 0),
                row("r1", "replies", 2, 1),
                row("r1:delivery:2", "deliveries", 1, 0),
            ],
            decided=frozenset({"i1:decision:1", "i2:decision:1"}),
        )
        self.topics = {
            "interactions": [Seen(0, 0, "c", "i1"), Seen(0, 1, "c", "i2")],
            "decisions": [Seen(0, 0, "c", "i1:decision:1"), Seen(0, 1, "c", "i2:decision:1")],
            "replies": [Seen(0, 0, "c", "i1:answer:1"), Seen(0, 1, "c", "r1")],
            "deliveries": [Seen(0, 0, "c", "r1:delivery:2")],
            "dead-letters": [],
        }
        self.committed = {
            (ROUTER, "interactions", 0): 2,
            (APPLIER, "decisions", 0): 2,
            (APPLIER, "deliveries", 0): 1,
            (SENDERS, "replies", 0): 2,
        }

    def note(self, who: str, op: str, kind: history.Kind, id_: str, call: int = 0, **more: object) -> None:
        self.clock += 1.0
        self.events.append(Event(self.clock, who, op, kind, id_, call, more))

    def did(self, who: str, op: str, id_: str, asked: dict[str, object], **told: object) -> None:
        self.calls += 1
        self.note(who, op, "invoke", id_, self.calls, **asked)
        self.note(who, op, "ok", id_, self.calls, **told)

    def saw(self, who: str, id_: str, *, automatic: bool = False, text: str = "", in_reply_to: str = "") -> None:
        self.note(who, "see", "ok", id_, via="mail", automatic=automatic, text=text, in_reply_to=in_reply_to)

    def lease(self, name: str, epoch: int, owner: str) -> None:
        self.note("watch", "lease", "ok", name, epoch=epoch, owner=owner)

    def found(self) -> set[str]:
        evidence = Evidence(history=self.events, store=self.store, topics=self.topics, committed=self.committed)
        return {f"{v.invariant} {v.kind}" for v in check(evidence)}


def row(event_id: str, topic: str, position: int, offset: int) -> OutboxRow:
    return OutboxRow(
        event_id=event_id,
        topic=topic,
        key="c",
        position=position,
        done=True,
        incarnation="b1",
        partition=0,
        offset=offset,
    )


def test_a_good_run_has_no_violations() -> None:
    assert World().found() == set()


def interaction(world: World, n: int, **changes: object) -> None:
    rows = list(world.store.interactions)
    rows[n] = replace(rows[n], **changes)  # type: ignore[arg-type]
    world.store.interactions = rows


def add(world: World, table: str, item: object) -> None:
    setattr(world.store, table, [*getattr(world.store, table), item])


def drop(world: World, table: str, n: int) -> None:
    rows = list(getattr(world.store, table))
    del rows[n]
    setattr(world.store, table, rows)


def lost(w: World) -> None:
    w.did("ann", "write", "m3", {"channel": "email", "thread": "other", "expect": "answer"})


def accepted_twice(w: World) -> None:
    add(
        w,
        "interactions",
        Interaction(id="i9", contact="m2", channel="email", conversation="c", seq=3, state="answered"),
    )


def from_nobody(w: World) -> None:
    add(w, "interactions", Interaction(id="i9", contact="m9", channel="email", conversation="x", seq=1, state="closed"))


def told_otherwise(w: World) -> None:
    w.did("ann", "write", "m1", {"channel": "email", "thread": "ann", "expect": "answer"}, seq=7)


def unaccounted(w: World) -> None:
    drop(w, "acceptances", 0)


def no_such_state(w: World) -> None:
    interaction(w, 1, state="somewhere")


def stranded(w: World) -> None:
    interaction(w, 1, state="queued")


def unfinished(w: World) -> None:
    interaction(w, 1, state="received")


def wrong_end(w: World) -> None:
    interaction(w, 1, state="closed", reason="spam")
    w.store.replies = [replace(w.store.replies[0]), replace(w.store.replies[1], answers=["i1"], through=1)]


def no_answer(w: World) -> None:
    w.store.deliveries = [w.store.deliveries[0], replace(w.store.deliveries[1], state="unknown")]


def answer_lost(w: World) -> None:
    w.events = [event for event in w.events if event.id != MAIL]


def acknowledgement_lost(w: World) -> None:
    w.events = [event for event in w.events if event.id != "ack@shop.example"]


def unpublished(w: World) -> None:
    w.store.outbox = [*w.store.outbox[:-1], replace(w.store.outbox[-1], done=False)]


def ledger(w: World) -> None:
    add(w, "acceptances", Acceptance(interaction_id="i8", channel="email"))


def copies_uncounted(w: World) -> None:
    for _ in range(2):
        w.did("ann", "write", "m1", {"channel": "email", "thread": "ann", "expect": "answer"}, seq=1)
    w.store.acceptances = [replace(w.store.acceptances[0], copies=1), w.store.acceptances[1]]


def mail_twice(w: World) -> None:
    w.saw("ann", MAIL, text="It is taken care of.")


def two_machine_answers(w: World) -> None:
    w.saw("ann", "ack2@shop.example", automatic=True, in_reply_to="m1")


def same_words_twice(w: World) -> None:
    w.saw("ann", "sb.2@shop.example", text="It is taken care of.")


def answered_again(w: World) -> None:
    add(w, "replies", Reply(id="r2", conversation="c", answers=["i2"], through=2, created_at=2.0))


def from_nowhere(w: World) -> None:
    w.saw("ann", "sb.3@shop.example", text="Nobody wrote this.")


def anothers_answer(w: World) -> None:
    w.saw("bob", MAIL, text="It is taken care of.")


def sent_after_unknown(w: World) -> None:
    add(w, "reports", Report(reply_id="r1", recipient="ann", change=1, state="unknown"))


def change_twice(w: World) -> None:
    add(w, "reports", Report(reply_id="r1", recipient="ann", change=2, state="sent"))


def gap(w: World) -> None:
    interaction(w, 1, seq=3)


def torn(w: World) -> None:
    interaction(w, 1, seq=1, conversation="d")


def wrong_order(w: World) -> None:
    interaction(w, 0, seq=2)
    interaction(w, 1, seq=1)


def topic_out_of_order(w: World) -> None:
    w.topics["interactions"] = [Seen(0, 0, "c", "i2"), Seen(0, 1, "c", "i1")]


def two_partitions(w: World) -> None:
    w.topics["interactions"] = [Seen(0, 0, "c", "i1"), Seen(1, 1, "c", "i2")]


def lane_out_of_order(w: World) -> None:
    w.store.outbox = [row("i1", "interactions", 1, 5), *w.store.outbox[1:]]


def answers_out_of_order(w: World) -> None:
    seen = [event for event in w.events if event.op == "see"]
    w.events = [event for event in w.events if event.op != "see"] + seen[::-1]


def router_early(w: World) -> None:
    w.topics["decisions"] = w.topics["decisions"][:1]
    w.store.decided = frozenset({"i1:decision:1"})


def applier_early(w: World) -> None:
    w.store.decided = frozenset({"i1:decision:1"})
    interaction(w, 1, state="received")


def delivery_early(w: World) -> None:
    interaction(w, 1, state="answering")


def dead_letter_early(w: World) -> None:
    w.topics["dead-letters"] = [Seen(0, 0, "c", "d1")]
    w.committed[APPLIER, "dead-letters", 0] = 1


def sender_early(w: World) -> None:
    drop(w, "deliveries", 0)


def router_past_the_end(w: World) -> None:
    w.committed[ROUTER, "interactions", 0] = 9


def applier_past_the_end(w: World) -> None:
    w.committed[APPLIER, "dead-letters", 0] = 1  # of a partition that holds nothing


def sender_past_the_end(w: World) -> None:
    w.committed[SENDERS, "replies", 0] = 3


def lease_backwards(w: World) -> None:
    w.lease("outbox:0", 2, "relay2")
    w.lease("outbox:0", 1, "relay1")


def lease_shared(w: World) -> None:
    w.lease("outbox:0", 1, "relay2")


def version_twice(w: World) -> None:
    add(w, "work_items", WorkItemChange(id="w1", conversation="c", version=3, epoch=1, state="completed", agent="ben"))


def epoch_kept(w: World) -> None:
    items = list(w.store.work_items)
    w.store.work_items = [items[0], replace(items[1], epoch=0), replace(items[2], epoch=0)]


def two_owners(w: World) -> None:
    w.did("ben", "claim", "w1", {}, epoch=1)


def stale_epoch(w: World) -> None:
    w.did("ben", "claim", "w1", {}, epoch=2)
    w.did("ada", "complete", "w1", {"epoch": 1, "verb": "complete"})


def finished_by_nobody(w: World) -> None:
    items = list(w.store.work_items)
    back = replace(items[2], state="queued", agent=None)
    w.store.work_items = [*items[:2], back, replace(items[2], version=4, agent=None)]


BROKEN: dict[Callable[[World], None], str] = {
    lost: "I1 lost",
    accepted_twice: "I1 accepted twice",
    from_nobody: "I1 from nobody",
    told_otherwise: "I1 told otherwise",
    unaccounted: "I1 unaccounted",
    no_such_state: "I1 no such state",
    stranded: "I1 stranded",
    unfinished: "I1 unfinished",
    wrong_end: "I1 wrong end",
    no_answer: "I1 no answer",
    answer_lost: "I1 answer lost",
    acknowledgement_lost: "I1 acknowledgement lost",
    unpublished: "I1 unpublished",
    ledger: "ledger does not balance",
    copies_uncounted: "ledger copies",
    mail_twice: "I2 mail twice",
    two_machine_answers: "I2 answered twice",
    same_words_twice: "I2 answered twice",
    answered_again: "I2 answered twice",
    from_nowhere: "I2 from nowhere",
    anothers_answer: "I4 another's answer",
    sent_after_unknown: "I2 sent again",
    change_twice: "I7 change twice",
    gap: "I3 seq not dense",
    torn: "I3 thread torn",
    wrong_order: "I3 order of writing",
    topic_out_of_order: "I3 out of order",
    two_partitions: "I3 two partitions",
    lane_out_of_order: "I3 lane out of order",
    answers_out_of_order: "I3 answers out of order",
    router_early: "I6 acked early",
    applier_early: "I6 acked early",
    delivery_early: "I6 acked early",
    dead_letter_early: "I6 acked early",
    sender_early: "I6 acked early",
    router_past_the_end: "I6 past the end",
    applier_past_the_end: "I6 past the end",
    sender_past_the_end: "I6 past the end",
    lease_backwards: "I7 lease",
    lease_shared: "I7 lease",
    version_twice: "I7 version",
    epoch_kept: "I7 epoch",
    two_owners: "I7 two owners",
    stale_epoch: "I7 stale epoch",
    finished_by_nobody: "I7 stale epoch",
}


@pytest.mark.parametrize("break_it", BROKEN, ids=lambda f: f.__name__)
def test_a_broken_promise_is_named(break_it: Callable[[World], None]) -> None:
    world = World()
    break_it(world)
    assert BROKEN[break_it] in world.found()


def test_an_unknown_end_counts_neither_way() -> None:
    world = World()
    world.note("ann", "write", "invoke", "m3", 99, channel="email", thread="other", expect="answer")
    world.note("ann", "write", "info", "m3", 99)
    assert world.found() == set(), "it may not have arrived"
    add(world, "acceptances", Acceptance(interaction_id="i3", channel="email"))
    add(
        world,
        "interactions",
        Interaction(id="i3", contact="m3", channel="email", conversation="d", seq=1, state="held"),
    )
    world.store.last_seq = {"c": 2, "d": 1}
    assert world.found() == {"I1 wrong end"}, "or it has: then it is due an answer like any other"


def test_a_second_answer_after_an_unknown_outcome_is_no_violation() -> None:
    world = World()
    world.store.deliveries = [world.store.deliveries[0], replace(world.store.deliveries[1], state="unknown")]
    world.store.reports = [world.store.reports[0], replace(world.store.reports[1], state="unknown")]
    add(world, "replies", Reply(id="r2", conversation="c", answers=["i1", "i2"], through=2, created_at=2.0))
    add(world, "deliveries", Delivery(reply_id="r2", recipient="ann", channel="email", state="sent", provider_id="m@2"))
    world.saw("ann", "m@2", text="Once more, by a person.")
    assert world.found() == set()


def test_a_lease_that_was_given_back_goes_to_the_next_one_under_a_higher_epoch() -> None:
    world = World()
    world.lease("outbox:0", 1, "")
    world.lease("outbox:0", 2, "relay2")
    assert world.found() == set()


def test_repeats_in_a_topic_are_no_violation() -> None:
    world = World()
    world.topics["interactions"] += [Seen(0, 2, "c", "i1"), Seen(0, 3, "c", "i2")]
    assert world.found() == set()


def test_a_broker_that_forgot_may_hold_the_end_only() -> None:
    world = World()
    world.topics = {"interactions": [Seen(0, 0, "c", "i2")], "decisions": [Seen(0, 0, "c", "i2:decision:1")]}
    world.committed = {(ROUTER, "interactions", 0): 1}
    assert world.found() == set()


@given(st.permutations(range(6)), st.lists(st.integers(0, 5), max_size=6))
def test_only_the_dense_order_passes_whatever_is_repeated(order: list[int], repeats: list[int]) -> None:
    world = World()
    names = [f"e{n}" for n in range(6)]
    world.store.outbox = [row(name, "work-items", n + 1, n) for n, name in enumerate(names)]
    records = [names[n] for n in order] + [names[n] for n in repeats]
    world.topics = {"work-items": [Seen(0, offset, "c", name) for offset, name in enumerate(records)]}
    assert ("I3 out of order" in world.found()) == (list(order) != sorted(order))


@given(st.lists(st.sampled_from(["ok", "info", "fail"]), min_size=1, max_size=6))
def test_a_contact_is_acknowledged_if_any_of_its_calls_was(ends: list[history.Kind]) -> None:
    world = World()
    for call, end in enumerate(ends, 100):
        world.note("bob", "write", "invoke", "b1", call, channel="chat", thread="bob", expect="answer")
        world.note("bob", "write", end, "b1", call)
    contact = contacts_of(world.events)["b1"]
    assert (contact.attempts, contact.oks) == (len(ends), ends.count("ok"))
    assert ("I1 lost" in world.found()) == ("ok" in ends)


def test_a_history_comes_back_from_its_file_without_the_line_that_was_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "ann.jsonl"
    written = history.History(path)
    written.invoke("ann", "write", "m1", channel="email").ok(seq=1)
    written.invoke("ann", "claim", "next").ok(id="w1", epoch=2)
    written.close()
    path.write_bytes(path.read_bytes() + b'{"at": 1.0, "who": "an')
    events = history.read([path])
    assert events == written.events
    assert [(e.kind, e.id, e.call) for e in events[2:]] == [("invoke", "next", 2), ("ok", "w1", 2)]
