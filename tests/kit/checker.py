"""The independent checker: pure, offline. It compares what scripted customers and agents logged with the store, the
topics and the committed offsets, and knows nothing of how the house works inside.

I1 no loss · I2 one visible answer · I3 order · I4 nobody reads another's · I6 offsets · I7 fencing · the ledger's sum.
This file looks with the customers' eyes; `checker_house.py` at topics, offsets and leases.
"""

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from schemas.states import DELIVERY_MOVES, DeliveryState, InteractionState
from tests.kit import checker_house
from tests.kit.evidence import Contact, Evidence, Reply, Report
from tests.kit.facts import Facts, Invariant, Violation

NOT_ARRIVED = ("failed", "unknown", "withdrawn")


def check(evidence: Evidence) -> list[Violation]:
    """Every violation of every invariant. Empty: the run was good."""
    facts = Facts(evidence)
    return [violation for invariant in INVARIANTS for violation in invariant(facts)]


# --- I1 -----------------------------------------------------------------------------------------------------------


def accepted_once(facts: Facts) -> Iterator[Violation]:
    """What was acknowledged is there, once; what nobody wrote is not."""
    for contact in facts.contacts.values():
        found = facts.by_contact.get(contact.id, [])
        if contact.oks and not found:
            yield Violation(
                "I1", "lost", (contact.id,), f"acknowledged to {contact.who} by {contact.channel}, and gone"
            )
        if len(found) > 1:
            what = f"written {contact.attempts} times by {contact.who}: {len(found)} interactions"
            yield Violation("I1", "accepted twice", (contact.id, *(i.id for i in found)), what)
        told = contact.told_seq
        if found and told is not None and told not in [i.seq for i in found]:
            yield Violation("I1", "told otherwise", (contact.id,), f"seq {told} was told, {found[0].seq} is stored")
    for contact_id, found in facts.by_contact.items():
        if contact_id not in facts.contacts:
            yield Violation("I1", "from nobody", (contact_id, found[0].id), "an interaction that nobody wrote")


def in_one_state(facts: Facts) -> Iterator[Violation]:
    """One ledger row per acceptance, in a known state, and none left over after the drain."""
    store = facts.evidence.store
    accepted = Counter(a.interaction_id for a in store.acceptances)
    rows = Counter(i.id for i in store.interactions)
    for id_ in sorted({*accepted, *rows}):
        if accepted[id_] != 1 or rows[id_] != 1:
            what = f"{accepted[id_]} acceptances, {rows[id_]} ledger rows"
            yield Violation("I1", "unaccounted", (id_,), what)
    known = {state.value for state in InteractionState}
    latest = {change.id: change for change in sorted(store.work_items, key=lambda c: c.version)}
    waiting = {c.conversation for c in latest.values() if c.state in ("queued", "reserved", "assigned")}
    for i in store.interactions:
        if i.state not in known:
            yield Violation("I1", "no such state", (i.id,), i.state)
        elif i.state == "queued" and i.conversation not in waiting:
            yield Violation("I1", "stranded", (i.id,), "queued, but its conversation has no open work item")
        elif i.state in ("received", "answering", "queued"):
            yield Violation("I1", "unfinished", (i.id,), f"still {i.state} after the drain ({i.reason or i.contact})")


def everybody_due_is_answered(facts: Facts) -> Iterator[Violation]:
    """Each contact ended as its writer may expect, and an answer that was sent is in the customer's hands."""
    of_conversation: dict[str, list[Reply]] = defaultdict(list)
    for reply in facts.replies.values():
        if not reply.acknowledgement and "sent" in facts.deliveries.get(reply.id, ()):
            of_conversation[reply.conversation].append(reply)
    states = {"answer": "answered", "call": "answered", "closed": "closed", "held": "held"}
    hands = {who: {facts.reply_of.get(event.id) for event in events} for who, events in facts.seen.items()}
    for contact in facts.contacts.values():
        i = facts.interaction(contact.id)
        if i is None or i.seq is None or i.state in ("received", "answering", "queued"):
            continue
        seq, sent = i.seq, of_conversation[i.conversation]
        # Answered before triage had placed it: what an agent then finds in the item needs no second answer.
        covered = [r for r in sent if i.id in r.answers or (i.state == "closed" and r.through >= seq)]
        if i.state != states[contact.expect] and not (contact.expect == "answer" and covered):
            what = f"{contact.who} is due {contact.expect!r}; it is {i.state} ({i.reason})"
            yield Violation("I1", "wrong end", (contact.id, i.id), what)
        elif contact.expect == "answer" and not covered:
            yield Violation("I1", "no answer", (contact.id, i.id), "answered, says the ledger; nothing was sent")
        elif contact.expect == "answer" and not any(reply.id in hands.get(contact.who, set()) for reply in covered):
            what = f"sent, says the ledger; {contact.who} does not have it"
            yield Violation("I1", "answer lost", (contact.id, covered[-1].id), what)


def acknowledgements_arrive(facts: Facts) -> Iterator[Violation]:
    """A machine's "we have got it" that was sent is in its customer's hands, as an answer is."""
    hands = {who: {facts.reply_of.get(event.id) for event in events} for who, events in facts.seen.items()}
    for reply in facts.replies.values():
        if not reply.acknowledgement or "sent" not in facts.deliveries.get(reply.id, ()):
            continue
        for id_ in reply.answers:
            contact = facts.contacts.get(facts.by_id[id_].contact) if id_ in facts.by_id else None
            if contact is not None and reply.id not in hands.get(contact.who, set()):
                what = f"sent, says the ledger; {contact.who} does not have it"
                yield Violation("I1", "acknowledgement lost", (contact.id, reply.id), what)


def everything_is_published(facts: Facts) -> Iterator[Violation]:
    """After the drain no row of the outbox is left over."""
    for row in facts.evidence.store.outbox:
        if not row.done:
            what = f"place {row.position} of lane {row.key} in {row.topic} is still to be published after the drain"
            yield Violation("I1", "unpublished", (row.event_id,), what)


def the_ledger_adds_up(facts: Facts) -> Iterator[Violation]:
    """accepted = Σ states, by channel, and both are what the customers themselves hold."""
    store = facts.evidence.store
    accepted, copies, states = Counter[str](), Counter[str](), Counter[str]()
    for a in store.acceptances:
        accepted[a.channel] += 1
        copies[a.channel] += a.copies
    states.update(i.channel for i in store.interactions)
    certain, possible = Counter[str](), Counter[str]()
    oks, attempts = Counter[str](), Counter[str]()
    for contact in facts.contacts.values():
        certain[contact.channel] += contact.oks > 0
        possible[contact.channel] += 1
        oks[contact.channel] += contact.oks
        attempts[contact.channel] += contact.attempts
    for channel in sorted({*accepted, *states, *possible}):
        n = accepted[channel]
        if n != states[channel]:
            what = f"accepted {n} ≠ Σ states {states[channel]}"
            yield Violation("ledger", "does not balance", (channel,), what)
        if not certain[channel] <= n <= possible[channel]:
            what = f"accepted {n}; customers wrote {possible[channel]} and were told of {certain[channel]}"
            yield Violation("ledger", "not what they hold", (channel,), what)
        if n + copies[channel] < oks[channel]:
            what = f"{n} accepted + {copies[channel]} copies; customers were told {oks[channel]} times"
            yield Violation("ledger", "copies", (channel,), what)
        elif channel != "phone_log" and n + copies[channel] > attempts[channel]:  # a call log may be read again
            what = f"{n} accepted + {copies[channel]} copies; customers tried {attempts[channel]} times"
            yield Violation("ledger", "copies", (channel,), what)


# --- I2, I4 -------------------------------------------------------------------------------------------------------


def one_visible_answer(facts: Facts) -> Iterator[Violation]:
    """As the customers' own programs show it: a mail arrives once, a text is there once, a machine answers once."""
    owners = {
        i.conversation: facts.contacts[i.contact].who for i in facts.by_id.values() if i.contact in facts.contacts
    }
    for who, events in facts.seen.items():
        mails = Counter(event.id for event in events if event.more["via"] == "mail")
        for id_, count in mails.items():
            if count > 1:
                yield Violation("I2", "mail twice", (id_, facts.reply_of.get(id_, "?")), f"{who} got it {count} times")
        machine: dict[str, set[str]] = defaultdict(set)
        person: dict[str, set[str]] = defaultdict(set)
        for event in events:
            if event.more["automatic"]:
                machine[event.more.get("in_reply_to") or event.more["text"]].add(event.id)
            else:
                person[event.more["text"]].add(event.id)
            reply = facts.replies.get(facts.reply_of.get(event.id, ""))
            if reply is None:
                yield Violation("I2", "from nowhere", (event.id,), f"{who} sees an answer that no reply stands for")
            elif owners.get(reply.conversation, who) != who:
                yield Violation("I4", "another's answer", (reply.id,), f"{who} sees {owners[reply.conversation]}'s")
        for group, what in ((machine, "machine answers to one contact"), (person, "times the same words")):
            for found in group.values():
                if len(found) > 1:
                    yield Violation("I2", "answered twice", tuple(sorted(found)), f"{who} sees {len(found)} {what}")


def answered_once(facts: Facts) -> Iterator[Violation]:
    """In the store: a second answer to an interaction only when the first has not arrived, or nobody knows."""
    by_interaction: dict[str, list[Reply]] = defaultdict(list)
    machine: dict[str, list[Reply]] = defaultdict(list)
    for reply in facts.replies.values():
        for id_ in reply.answers:
            if reply.automatic:
                machine[id_].append(reply)
            if not reply.acknowledgement:
                by_interaction[id_].append(reply)
    for id_, found in machine.items():
        if len(found) > 1:
            yield Violation("I2", "answered twice", (id_,), f"{len(found)} machine answers")
    for id_, found in by_interaction.items():
        for reply in sorted(found, key=lambda r: r.created_at)[:-1]:
            if not set(facts.deliveries.get(reply.id, ())) & set(NOT_ARRIVED):
                yield Violation("I2", "answered twice", (id_, reply.id), "another answer was made, though it was sent")


def nothing_after_the_end(facts: Facts) -> Iterator[Violation]:
    """Reports of a delivery follow the table of states: nothing goes out after `sent`, nor after `unknown`."""
    reports: dict[tuple[str, str], list[Report]] = defaultdict(list)
    for report in facts.evidence.store.reports:
        reports[report.reply_id, report.recipient].append(report)
    ends = (DeliveryState.SENT, DeliveryState.UNKNOWN, DeliveryState.FAILED, DeliveryState.WITHDRAWN)
    for (reply_id, _), found in reports.items():
        found.sort(key=lambda r: r.change)
        for before, after in itertools.pairwise(found):
            if before.change == after.change:
                yield Violation("I7", "change twice", (reply_id,), f"two reports of change {after.change}")
            by_a_person = after.detail.startswith("resolved by a person")
            state = DeliveryState(before.state)
            allowed = DeliveryState(after.state) in DELIVERY_MOVES[state]
            if state in ends and not (allowed and (by_a_person or state is DeliveryState.SENT)):
                what = f"{after.state} after {before.state}, by machine"
                yield Violation("I2", "sent again", (reply_id,), what)


# --- I3 -----------------------------------------------------------------------------------------------------------


def dense_sequences(facts: Facts) -> Iterator[Violation]:
    """seq counts from 1 without a gap, and follows the order in which the customer wrote."""
    conversations: dict[str, list[int]] = defaultdict(list)
    for i in facts.by_id.values():
        if i.seq is not None:
            conversations[i.conversation].append(i.seq)
    for conversation, found in conversations.items():
        if sorted(found) != list(range(1, len(found) + 1)):
            yield Violation("I3", "seq not dense", (conversation,), f"seqs {sorted(found)}")
        last = facts.evidence.store.last_seq.get(conversation)
        if last != max(found):
            yield Violation("I3", "seq not dense", (conversation,), f"the conversation is at {last}, not {max(found)}")
    threads: dict[str, list[Contact]] = defaultdict(list)
    for contact in facts.contacts.values():
        threads[contact.thread].append(contact)
    for thread, written in threads.items():
        placed = [(c, i) for c in written if (i := facts.interaction(c.id)) is not None and i.seq is not None]
        if len({i.conversation for _, i in placed}) > 1:
            yield Violation("I3", "thread torn", (thread,), "one thread, several conversations")
        for earlier, first in placed:
            for later, second in placed:
                if earlier.accepted is not None and earlier.accepted < later.begun and first.seq >= second.seq:  # type: ignore[operator]
                    what = f"written in this order by {earlier.who}: seq {first.seq}, {second.seq}"
                    yield Violation("I3", "order of writing", (earlier.id, later.id), what)


INVARIANTS: Sequence[Invariant] = (
    accepted_once,
    in_one_state,
    everybody_due_is_answered,
    acknowledgements_arrive,
    everything_is_published,
    the_ledger_adds_up,
    one_visible_answer,
    answered_once,
    nothing_after_the_end,
    dense_sequences,
    *checker_house.INVARIANTS,
)
