"""The checker's view of the machinery: topics and lanes in order (I3), offsets behind effects (I6), fencing (I7)."""

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

from schemas import ids
from tests.kit.evidence import Seen, WorkItemChange
from tests.kit.facts import Facts, Invariant, Violation
from tests.kit.history import Event

_SETTLING = ("sent", "failed", "unknown", "withdrawn")
ROUTER, APPLIER, SENDERS = "switchboard-router", "switchboard-applier", "switchboard-senders"


def topics_in_order(facts: Facts) -> Iterator[Violation]:
    """A topic holds each conversation's events, at their first occurrence, in the order of their making."""
    for topic, records in facts.evidence.topics.items():
        last: dict[str, tuple[int, Seen]] = {}
        place: dict[str, int] = {}
        known: set[str] = set()
        for record in sorted(records, key=lambda r: (r.partition, r.offset)):
            if place.setdefault(record.key, record.partition) != record.partition:
                what = f"{topic} has it in partitions {place[record.key]} and {record.partition}"
                yield Violation("I3", "two partitions", (record.key,), what)
            if record.id in known:
                continue
            known.add(record.id)
            at = _place(facts, topic, record.id)
            if at is None:
                continue
            before = last.get(record.key)
            if before is not None and before[0] > at:
                what = f"{topic}: place {at} comes after place {before[0]} (offset {record.offset})"
                yield Violation("I3", "out of order", (before[1].id, record.id), what)
            else:
                last[record.key] = (at, record)


def _place(facts: Facts, topic: str, event_id: str) -> int | None:
    if topic == "decisions":
        interaction, _, round_ = event_id.partition(":decision:")
        found = facts.by_id.get(interaction)
        return found.seq if found is not None and round_ == "1" else None
    return facts.positions.get((topic, event_id))


def lanes_in_order(facts: Facts) -> Iterator[Violation]:
    """The store's own notes: of one lane and one life of the broker, later rows have higher offsets."""
    lanes: dict[tuple[str, str, str], list[tuple[int, int, str]]] = defaultdict(list)
    for row in facts.evidence.store.outbox:
        if row.incarnation is not None and row.offset is not None:
            lanes[row.topic, row.key, row.incarnation].append((row.position, row.offset, row.event_id))
    for (topic, _, _), rows in lanes.items():
        rows.sort()
        for before, after in itertools.pairwise(rows):
            if before[1] >= after[1]:
                what = f"{topic}: place {before[0]} is at offset {before[1]}, place {after[0]} at {after[1]}"
                yield Violation("I3", "lane out of order", (before[2], after[2]), what)


def answers_seen_in_order(facts: Facts) -> Iterator[Violation]:
    """A customer first sees the answers of a conversation in the order in which they were given."""
    for who, events in facts.seen.items():
        last: dict[str, tuple[int, str]] = {}
        for reply_id in dict.fromkeys(facts.reply_of.get(event.id, "") for event in events):
            reply, at = facts.replies.get(reply_id), facts.positions.get(("replies", reply_id))
            if reply is None or at is None:
                continue
            before = last.get(reply.conversation, (0, ""))
            if before[0] > at:
                what = f"{who} saw answer {before[0]} before answer {at}"
                yield Violation("I3", "answers out of order", (before[1], reply_id), what)
            last[reply.conversation] = max(before, (at, reply_id))


# --- I6 -----------------------------------------------------------------------------------------------------------


def offsets_behind_effects(facts: Facts) -> Iterator[Violation]:
    """Nobody has committed past a record that has had no effect."""
    store = facts.evidence.store
    decided = {r.id for r in facts.evidence.topics.get("decisions", ())} | store.decided
    dead = {r.id for r in facts.evidence.topics.get("dead-letters", ())} | store.dead_letters
    dead_interactions = {id_.partition(":")[0] for id_ in dead}
    entered = {delivery.reply_id for delivery in store.deliveries}
    reports = {ids.delivery_id(r.reply_id, r.change): r for r in store.reports}

    def triaged(event_id: str) -> bool:
        interaction, _, round_ = event_id.partition(":round:")
        return ids.decision_id(interaction, int(round_ or 1)) in decided or interaction in dead_interactions

    def applied(event_id: str) -> bool:
        interaction, _, round_ = event_id.partition(":decision:")
        row = facts.by_id.get(interaction)
        return event_id in store.decided or row is None or row.state != "received" or row.round > int(round_)

    def settled(event_id: str) -> bool:
        report = reports.get(event_id)
        reply = facts.replies.get(report.reply_id) if report else None
        if report is None or reply is None or reply.acknowledgement or report.state not in _SETTLING:
            return True
        return not any(facts.by_id[id_].state == "answering" for id_ in reply.answers if id_ in facts.by_id)

    effects: list[tuple[str, str, Callable[[str], bool], str]] = [
        (ROUTER, "interactions", triaged, "neither decided nor a dead letter"),
        (APPLIER, "decisions", applied, "not applied"),
        (APPLIER, "deliveries", settled, "not applied"),
        (APPLIER, "dead-letters", lambda event_id: event_id in store.dead_letters, "not kept"),
        (SENDERS, "replies", lambda event_id: event_id in entered, "not in the delivery ledger"),
    ]
    for group, topic, has_effect, what in effects:
        for record in facts.evidence.topics.get(topic, ()):
            committed = facts.evidence.committed.get((group, topic, record.partition), 0)
            if record.offset < committed and not has_effect(record.id):
                where = f"{group} has committed {committed} of {topic}-{record.partition}"
                yield Violation("I6", "acked early", (record.id,), f"{where}; record {record.offset} is {what}")


def offsets_within_the_log(facts: Facts) -> Iterator[Violation]:
    """Nobody has committed past the end of a log: what is written there next would never be read."""
    ends: dict[tuple[str, int], int] = defaultdict(int)
    for topic, records in facts.evidence.topics.items():
        for record in records:
            ends[topic, record.partition] = max(ends[topic, record.partition], record.offset + 1)
    for (group, topic, partition), committed in facts.evidence.committed.items():
        if topic in facts.evidence.topics and committed > (end := ends[topic, partition]):
            where = f"{group} has committed {committed} of {topic}-{partition}"
            yield Violation("I6", "past the end", (f"{topic}-{partition}",), f"{where}, which ends at {end}")


# --- I7 -----------------------------------------------------------------------------------------------------------


def leases_change_hands_upwards(facts: Facts) -> Iterator[Violation]:
    """A lease's epoch grows with each new owner, and belongs to one."""
    last: dict[str, tuple[int, str]] = {}
    for event in facts.evidence.history:
        if event.op != "lease" or not event.more["owner"]:  # given back, it is nobody's
            continue
        epoch, owner = event.more["epoch"], event.more["owner"]
        before = last.get(event.id)
        if before is not None and (epoch < before[0] or (epoch == before[0] and owner != before[1])):
            what = f"epoch {epoch} of {owner} after epoch {before[0]} of {before[1]}"
            yield Violation("I7", "lease", (event.id,), what)
        last[event.id] = (epoch, owner)


def work_items_change_hands_upwards(facts: Facts) -> Iterator[Violation]:
    """In the store: every version once; the epoch rises when an agent gets the item, and then only; whoever finishes
    it has it."""
    items: dict[str, list[WorkItemChange]] = defaultdict(list)
    for change in facts.evidence.store.work_items:
        items[change.id].append(change)
    for id_, changes in items.items():
        changes.sort(key=lambda c: c.version)
        if [c.version for c in changes] != list(range(1, len(changes) + 1)):
            yield Violation("I7", "version", (id_,), f"versions {[c.version for c in changes]}")
        for before, after in itertools.pairwise(changes):
            taken = after.state == "assigned" and before.state != "assigned"
            if after.epoch != before.epoch + taken:
                what = f"{before.state} under epoch {before.epoch}, then {after.state} under epoch {after.epoch}"
                yield Violation("I7", "epoch", (id_,), what)
            elif after.state == "completed" and before.state not in ("assigned", "wrap_up"):
                yield Violation(
                    "I7", "stale epoch", (id_,), f"completed while it was {before.state}, by nobody's epoch"
                )
            elif after.agent != before.agent and not taken and after.state != "queued":
                what = f"{before.agent} and {after.agent} under epoch {after.epoch}"
                yield Violation("I7", "two owners", (id_,), what)


def nobody_writes_with_a_lost_lease(facts: Facts) -> Iterator[Violation]:
    """In the agents' log: an epoch is one agent's, and no write of an earlier one is taken after a later began."""
    owner: dict[tuple[str, int], str] = {}
    claimed: dict[str, list[tuple[int, float, str]]] = defaultdict(list)
    begun: dict[int, Event] = {}
    for event in facts.evidence.history:
        if event.op == "claim" and event.kind == "ok":
            epoch = event.more["epoch"]
            if owner.setdefault((event.id, epoch), event.who) != event.who:
                both = f"{owner[event.id, epoch]} and {event.who} both hold epoch {epoch}"
                yield Violation("I7", "two owners", (event.id,), both)
            claimed[event.id].append((epoch, event.at, event.who))
        elif event.op == "complete" and event.kind == "invoke":
            begun[event.call] = event
        elif event.op == "complete" and event.kind == "ok":
            call = begun[event.call]
            for epoch, at, who in claimed[event.id]:
                if epoch > call.more["epoch"] and at < call.at:
                    what = f"{event.who} wrote under epoch {call.more['epoch']} after {who} had epoch {epoch}"
                    yield Violation("I7", "stale epoch", (event.id,), what)


INVARIANTS: Sequence[Invariant] = (
    topics_in_order,
    lanes_in_order,
    answers_seen_in_order,
    offsets_behind_effects,
    offsets_within_the_log,
    leases_change_hands_upwards,
    work_items_change_hands_upwards,
    nobody_writes_with_a_lost_lease,
)
