"""What a decision, a delivery or a dead letter does to the store. Each function is idempotent: a repeat changes
nothing, because every move is conditional on the state that it leaves."""

from datetime import datetime

from sqlalchemy.engine import Connection

from router.applier import caps
from rules.model import AutoAnswer
from schemas import ids
from schemas.dead_letter import DeadLetter
from schemas.decision import Answer, Decision
from schemas.delivery import Delivery
from schemas.events import event_id
from schemas.interaction import Interaction
from schemas.reply import Author, Reply
from schemas.states import DeliveryState, InteractionState
from store import dead_letters, decisions, ledger, outbox, replies, work_items
from store.outbox import Outbox

ACTOR = "applier"
I = InteractionState


def apply_decision(conn: Connection, out: Outbox, decision: Decision, bounds: AutoAnswer, now: datetime) -> str:
    """The first decision of an interaction's round takes effect. Returns one word for the metrics."""
    standing, interaction = ledger.find(conn, decision.interaction_id) or (None, None)
    if standing is None or interaction is None:
        return "stray"
    if standing.state is not I.RECEIVED or interaction.round != decision.round:
        outbox.done(conn, [_event_of(interaction.id, decision.round)])
        return "repeat"
    answer, refused = decision.answer, decision.refused
    if answer is not None:
        refused = caps.refusal(conn, bounds, decision, interaction, now)
        if refused:
            answer = None
    if not decisions.add(conn, decision, refused):
        return "repeat"
    outcome = _carry_out(conn, out, decision, interaction, answer, refused, now)
    outbox.done(conn, [event_id(interaction)])
    return outcome


def _carry_out(
    conn: Connection,
    out: Outbox,
    decision: Decision,
    interaction: Interaction,
    answer: Answer | None,
    refused: str,
    now: datetime,
) -> str:
    detail = {"decision": decision.id, "tier": decision.tier}

    def move(to: InteractionState, reason: str = "") -> None:
        ledger.move(conn, [interaction.id], to, frm=[I.RECEIVED], actor="router", at=now, reason=reason, detail=detail)

    if decision.outcome == "hold":
        move(I.HELD, decision.hold or "held")
        return "held"
    if decision.outcome == "close":
        move(I.CLOSED, decision.close or "no_answer_needed")
        return "closed"
    if answer is not None:
        replies.request(conn, out, _auto_reply(interaction, answer, now))
        if answer.final:
            detail["rule"] = answer.rule
            move(I.ANSWERING)
            return "answered"
    why = "; ".join(filter(None, [f"no automatic answer: {refused}" if refused else "", *decision.errors]))
    work_items.enqueue(
        conn,
        out,
        interaction,
        queue=decision.queue or decision.fallback_queue,
        tier=decision.tier,
        deadline=decision.deadline,
        skills=decision.skills,
        tags=decision.tags,
        reason=why,
        now=now,
    )
    detail["queue"] = decision.queue or decision.fallback_queue
    move(I.QUEUED)
    return "queued"


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
        if not delivery.acknowledgement:
            ledger.move(
                conn,
                delivery.answers,
                I.ANSWERED,
                frm=[I.ANSWERING],
                actor="sender",
                at=now,
                detail={"reply": delivery.reply_id},
            )
        return "sent"
    if delivery.state not in bad:
        return delivery.state.value
    reason = f"delivery {delivery.state}: {delivery.detail}".rstrip(": ")
    if not delivery.acknowledgement:
        ledger.move(
            conn,
            delivery.answers,
            I.QUEUED,
            frm=[I.ANSWERING, I.ANSWERED],
            actor="sender",
            at=now,
            reason=reason,
            detail={"reply": delivery.reply_id},
        )
    _back_to_a_human(conn, out, delivery, reason, now)
    return delivery.state.value


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
    work_items.enqueue(
        conn,
        out,
        latest,
        queue=items[-1].queue if items else decision.queue or decision.fallback_queue,
        tier=decision.tier,
        deadline=decision.deadline,
        skills=decision.skills,
        tags=decision.tags,
        reason=reason,
        now=now,
    )


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
