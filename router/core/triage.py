"""Triage of one interaction: resolve > prioritise > decide > queue. Pure: the same in gives the same out."""

from datetime import datetime

from router.core.answers import compose, refusal
from rules.engine import RuleResult, evaluate
from rules.policy import Policy
from rules.priority import Priority, can_wait, prioritise
from rules.templates import TemplateError
from schemas import ids
from schemas.decision import CloseReason, Outcome
from schemas.errors import TooLong
from schemas.limits import TEXT_CHARS
from schemas.structs import Answer, Decision, Facts, Interaction


def decide(
    policy: Policy, interaction: Interaction, facts: Facts, now: datetime, *, trace_all: bool = False
) -> Decision:
    """The decision on one interaction. May raise only on a bug: see `decide_safely`. `trace_all` also lists the rules
    that the index ruled out."""
    result = evaluate(policy, interaction, facts, now, trace_all=trace_all)
    fallback = _known(policy, interaction.queue) or policy.source.default_queue
    queue = _known(policy, result.queue)
    priority = prioritise(policy, interaction, facts, result, queue=queue or fallback)
    errors = list(result.errors)

    outcome: Outcome
    answer: Answer | None = None
    close: CloseReason | None = None
    refused = ""
    if result.hold is not None:
        outcome = "hold"
    elif result.close is not None:
        outcome, close = "close", result.close
    elif interaction.automatic and queue is None and not can_wait(interaction):
        # Out-of-office notes and the like need nobody, unless a rule sends them to somebody. Lists and alerts do.
        outcome, close = "close", "automatic"
    elif result.answer is not None:
        refused = refusal(policy, interaction, facts, result.answer.template)
        if not refused:
            try:
                answer = compose(policy, interaction, result, final=queue is None, queue=queue or fallback, now=now)
            except TemplateError as error:
                refused = str(error)
                errors.append(str(error))
        outcome = "answer" if answer is not None and answer.final else "queue"
    else:
        outcome = "queue"
    return _decision(
        policy,
        interaction,
        facts,
        now,
        outcome=outcome,
        result=result,
        priority=priority,
        answer=answer,
        close=close,
        queue=(queue or fallback) if outcome == "queue" else None,
        fallback=fallback,
        refused=refused,
        errors=errors,
    )


def decide_safely(policy: Policy, interaction: Interaction, facts: Facts, now: datetime) -> Decision:
    """Total: an error while deciding sends the interaction to the human queue (Sieve's implicit keep, RFC 5228), and so
    does a decision that did not come to an end, in whatever rule it was."""
    try:
        return decide(policy, interaction, facts, now)
    except (Exception, TooLong) as error:
        result = RuleResult()
        fallback = policy.source.default_queue
        return _decision(
            policy,
            interaction,
            facts,
            now,
            outcome="queue",
            result=result,
            priority=prioritise(policy, interaction, facts, result, queue=fallback),
            queue=fallback,
            fallback=fallback,
            errors=[f"triage failed: {type(error).__name__}: {error}"],
        )


def _known(policy: Policy, queue: str | None) -> str | None:
    return queue if queue in policy.source.queues else None


def _decision(
    policy: Policy,
    interaction: Interaction,
    facts: Facts,
    now: datetime,
    *,
    outcome: Outcome,
    result: RuleResult,
    priority: Priority,
    queue: str | None,
    fallback: str,
    errors: list[str],
    answer: Answer | None = None,
    close: CloseReason | None = None,
    refused: str = "",
) -> Decision:
    return Decision(
        id=ids.decision_id(interaction.id, interaction.round),
        interaction_id=interaction.id,
        conversation_id=interaction.conversation_id,
        seq=interaction.seq,
        round=interaction.round,
        policy_version=policy.version,
        decided_at=now,
        outcome=outcome,
        answer=answer,
        queue=queue,
        fallback_queue=fallback,
        refused=refused,
        tier=priority.tier,
        tier_why=priority.tier_why,
        target_s=priority.target.total_seconds(),
        target_why=priority.target_why,
        deadline=priority.deadline,
        skills=result.skills,
        tags=result.tags,
        attributes=result.attributes,
        affinity=result.affinity,
        notify=result.notify,
        webhook=result.webhook,
        hold=result.hold if outcome == "hold" else None,
        hold_rule=result.hold_rule if outcome == "hold" else None,
        close=close,
        stopped_by=result.stopped_by,
        facts=facts,
        text_cut=len(interaction.text) >= TEXT_CHARS,  # edges cut there
        rules=result.traces,
        considered=result.considered,
        errors=tuple(errors),
        traceparent=interaction.traceparent,
    )
