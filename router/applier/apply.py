"""What a decision, a delivery or a dead letter does to the store. Each function is idempotent: a repeat changes
nothing, because every move is conditional on the state that it leaves."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy.engine import Connection

from router.applier.caps import Caps
from router.applier.notices import notices_of
from rules.model import AutoAnswer
from schemas import ids
from schemas.dead_letter import DeadLetter
from schemas.decision import Answer, Decision
from schemas.delivery import Delivery
from schemas.events import event_id
from schemas.interaction import EmailContent, Interaction
from schemas.reply import Author, Reply
from schemas.states import DeliveryState, InteractionState, WorkItemState
from store import (
    bounces,
    complaints,
    conversations,
    dead_letters,
    decisions,
    deliveries,
    ledger,
    outbox,
    replies,
    rule_hits,
    work_items,
)
from store.enqueue import Enqueuer
from store.outbox import Outbox

ACTOR = "applier"
I = InteractionState


def apply_decisions(
    conn: Connection, out: Outbox, made: Sequence[Decision], bounds: Mapping[str, AutoAnswer], now: datetime
) -> list[str]:
    """The first decision of each interaction's round takes effect; `bounds` by policy version. One word for each, for
    the metrics. Reads what all of them need, then decides in memory, then writes."""
    line = Enqueuer(conn, {decision.conversation_id for decision in made}, now)
    found = ledger.find_all(conn, {decision.interaction_id for decision in made})
    open_: list[tuple[Decision, Interaction]] = []
    outcomes: dict[str, str] = {}
    settled: list[str] = []
    for decision in made:
        standing, interaction = found.get(decision.interaction_id, (None, None))
        if standing is None or interaction is None or interaction.conversation_id != decision.conversation_id:
            outcomes.setdefault(decision.id, "stray")
        elif standing.state is not I.RECEIVED or interaction.round != decision.round or decision.id in outcomes:
            outcomes.setdefault(decision.id, "repeat")
            settled.append(_event_of(interaction.id, decision.round))
        else:
            outcomes[decision.id] = ""
            open_.append((decision, interaction))
    caps = Caps(conn, (interaction for decision, interaction in open_ if decision.answer is not None), now)
    moves: dict[str, ledger.Move] = {}
    answers: list[Reply] = []
    kept: list[tuple[Decision, str]] = []
    for decision, interaction in open_:
        answer, refused = decision.answer, decision.refused
        if answer is not None:
            is_open = line.is_open(interaction.conversation_id)
            refused = caps.refusal(bounds[decision.policy_version], decision, interaction, is_open=is_open)
            if refused:
                answer = None
        moves[interaction.id] = move = _outcome(line, decision, interaction, answer, refused)
        if answer is not None and move.to in (I.ANSWERING, I.QUEUED):
            answers.append(_auto_reply(interaction, answer, now))
        kept.append((decision, refused))
        outcomes[decision.id] = "answered" if move.to is I.ANSWERING else move.to.value
        settled.append(event_id(interaction))
    caps.flush(conn)
    for _, interaction in open_:
        content = interaction.content
        if not isinstance(content, EmailContent):
            continue
        if content.bounce is not None:
            bounces.apply(conn, out, content.bounce, content.token_of or interaction.conversation_id, now)
        if content.complaint is not None:
            complaints.apply(conn, content.complaint)
    decisions.add(conn, kept)
    rule_hits.note(conn, [decision for decision, _ in kept])
    replies.request(conn, out, answers)
    out.put_many(conn, list(notices_of(open_, now)))
    line.flush(out)
    ledger.move_all(conn, moves, now)
    outbox.done(conn, settled)
    return [outcomes[decision.id] for decision in made]


def _outcome(
    line: Enqueuer, decision: Decision, interaction: Interaction, answer: Answer | None, refused: str
) -> ledger.Move:
    """Where the decision sends the interaction; into the line when a person has to look."""
    detail = {"decision": decision.id, "tier": decision.tier}
    if decision.outcome == "hold":
        return _from_router(I.HELD, detail, decision.hold or "held")
    if decision.outcome == "close":
        return _from_router(I.CLOSED, detail, decision.close or "no_answer_needed")
    if answer is not None and answer.final:
        return _from_router(I.ANSWERING, {**detail, "rule": answer.rule})
    queue = decision.queue or decision.fallback_queue
    why = "; ".join(filter(None, [f"no automatic answer: {refused}" if refused else "", *decision.errors]))
    line.enqueue(
        interaction,
        queue=queue,
        tier=decision.tier,
        deadline=decision.deadline,
        skills=decision.skills,
        tags=decision.tags,
        reason=why,
        keep_for=decision.facts.last_agent if decision.affinity else None,
    )
    return _from_router(I.QUEUED, {**detail, "queue": queue})


def _from_router(to: InteractionState, detail: Mapping[str, str], reason: str = "") -> ledger.Move:
    return ledger.Move(to=to, frm=(I.RECEIVED,), actor="router", reason=reason, detail=detail)


def _auto_reply(interaction: Interaction, answer: Answer, now: datetime) -> Reply:
    return Reply(
        id=ids.auto_reply_id(interaction.id, interaction.round),
        conversation_id=interaction.conversation_id,
        reference=interaction.reference,
        channel=interaction.channel,
        account=interaction.account,
        recipient=interaction.sender,
        author=Author(kind="rule", name=answer.rule),
        subject=answer.subject,
        text=answer.text,
        html=answer.html,
        automatic=True,
        acknowledgement=not answer.final,
        answers=(interaction.id,),
        answers_through=interaction.seq,
        thread=replies.thread_of(interaction),
        session_id=replies.session_of(interaction),
        language=interaction.language,
        created_at=now,
        traceparent=interaction.traceparent,
    )


def apply_delivery(conn: Connection, out: Outbox, delivery: Delivery, now: datetime) -> str:
    """sent answers the interactions; failed, unknown and withdrawn put them back in front of a human."""
    outcome = _delivered(conn, out, delivery, now)
    outbox.done(conn, [delivery.id])
    return outcome


def _delivered(conn: Connection, out: Outbox, delivery: Delivery, now: datetime) -> str:
    bad = (DeliveryState.FAILED, DeliveryState.UNKNOWN, DeliveryState.WITHDRAWN)
    if delivery.state is DeliveryState.SENT:
        _move(conn, delivery, I.ANSWERED, [I.ANSWERING], now)
        if delivery.settled_by:
            _said_to_be_sent(conn, out, delivery, now)
        return "sent"
    if delivery.state not in bad or (delivery.acknowledgement and delivery.state is DeliveryState.WITHDRAWN):
        return delivery.state.value
    if deliveries.moved_on(conn, delivery):  # told once more, after somebody has settled it
        return "repeat"
    reason = f"delivery {delivery.state}: {delivery.detail}".rstrip(": ")
    _move(conn, delivery, I.QUEUED, [I.ANSWERING, I.ANSWERED], now, reason=reason)
    _back_to_a_human(conn, out, delivery, reason, now)
    return delivery.state.value


def _move(
    conn: Connection,
    delivery: Delivery,
    to: I,
    frm: list[I],
    now: datetime,
    *,
    actor: str = "sender",
    reason: str = "",
) -> None:
    """What the reply answers, if it does: an acknowledgement answers nothing."""
    if not delivery.acknowledgement:
        detail = {"reply": delivery.reply_id}
        ledger.move(conn, delivery.answers, to, frm=frm, actor=actor, at=now, reason=reason, detail=detail)


def _said_to_be_sent(conn: Connection, out: Outbox, delivery: Delivery, now: datetime) -> None:
    """Somebody knows that a mail of unknown outcome did arrive: what waited for this word alone is done."""
    conversations.lock(conn, delivery.conversation_id)
    sent = deliveries.of_conversation(conn, delivery.conversation_id)
    if any(row.state is not DeliveryState.SENT for row in sent if row.reply_id == delivery.reply_id):
        return  # another recipient has not got it
    _move(conn, delivery, I.ANSWERED, [I.QUEUED], now, actor=delivery.settled_by)
    known = ledger.of_conversation(conn, delivery.conversation_id)
    if any(standing.state is I.QUEUED for standing, _ in known):
        return
    if any(row.state is DeliveryState.UNKNOWN for row in sent):
        return  # that is another question
    item = work_items.open_of(conn, delivery.conversation_id)
    # What somebody else has in hand is theirs to complete.
    if item is not None and item.agent in (None, delivery.settled_by):
        work_items.move(conn, out, item.id, WorkItemState.COMPLETED, now=now)


def _back_to_a_human(conn: Connection, out: Outbox, delivery: Delivery, reason: str, now: datetime) -> None:
    known = ledger.of_conversation(conn, delivery.conversation_id)
    queued = [i for standing, i in known if i is not None and standing.state is I.QUEUED]
    latest = queued[-1] if queued else next((i for _, i in reversed(known) if i is not None), None)
    if latest is None or (delivery.acknowledgement and not queued):
        return
    made = decisions.of_interaction(conn, latest.id)
    items = work_items.of_conversation(conn, delivery.conversation_id)
    if not made:
        return
    decision = made[-1][0]
    line = Enqueuer(conn, [delivery.conversation_id], now)
    line.enqueue(
        latest,
        queue=items[-1].queue if items else decision.queue or decision.fallback_queue,
        tier=decision.tier,
        deadline=decision.deadline,
        skills=decision.skills,
        tags=decision.tags,
        reason=reason,
    )
    line.flush(out)


def apply_dead_letter(conn: Connection, letter: DeadLetter, now: datetime) -> str:
    """Keep it; if it was an interaction that waits for its decision, that is its state now."""
    known = letter.interaction_id is not None and letter.interaction_id in ledger.standings(
        conn, [letter.interaction_id]
    )
    if not dead_letters.add(conn, letter):
        return "repeat"
    # A record may claim any id: believed only if its bytes are those that we published under it.
    if (
        known
        and letter.interaction_id is not None
        and outbox.published(conn, _event_of(letter.interaction_id, letter.round), letter.raw, letter.dataref)
    ):
        ledger.move(
            conn,
            [letter.interaction_id],
            I.DEAD_LETTER,
            frm=[I.RECEIVED],
            actor="router",
            at=now,
            reason=letter.reason,
        )
        outbox.done(conn, [_event_of(letter.interaction_id, letter.round)])
    return "dead_letter"


def _event_of(interaction_id: str, round_: int) -> str:
    return interaction_id if round_ == 1 else f"{interaction_id}:round:{round_}"
