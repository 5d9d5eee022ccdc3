"""Decisions, as applied; and the memory of machine-made answers that their caps are checked against."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.engine import Connection

from schemas.decision import Decision
from store.sql import insert_new
from store.tables import auto_answers, decisions


def add(conn: Connection, decision: Decision, refused: str = "") -> bool:
    """Keep the first decision of an interaction's round. False if there is one."""
    return insert_new(
        conn,
        decisions,
        id=decision.id,
        interaction_id=decision.interaction_id,
        policy_version=decision.policy_version,
        decided_at=decision.decided_at,
        refused=refused,
        body=decision.model_dump(mode="json"),
    )


def of_interaction(conn: Connection, interaction_id: str) -> list[tuple[Decision, str]]:
    """(decision, why its answer was refused or ""), by round."""
    rows = conn.execute(
        select(decisions.c.body, decisions.c.refused)
        .where(decisions.c.interaction_id == interaction_id)
        .order_by(decisions.c.decided_at)
    )
    return [(Decision.model_validate(r.body), r.refused) for r in rows]


def in_words(decision: Decision, refused: str = "") -> list[str]:
    """Why it was decided so, for people: tier, promise, what fired, what was answered or withheld."""
    lines = [f"{decision.tier}: {decision.tier_why}"]
    target, _, cause = decision.target_why.partition(": ")
    if target:  # the channel's ordinary promise for the tier needs no explanation
        lines.append(f"answer within {target}" + ("" if cause.endswith(f", {decision.tier}") else f" ({cause})"))
    fired = [rule.name for rule in decision.rules if rule.result == "fired"]
    refused = refused or decision.refused
    if decision.answer is not None:
        fired = [name for name in fired if name != decision.answer.rule]
        if not refused:
            kind = "answered" if decision.answer.final else "acknowledged"
            lines.append(f"{kind} by rule {decision.answer.rule}")
    if fired:
        lines.append(("rule " if len(fired) == 1 else "rules ") + ", ".join(fired))
    if refused:
        lines.append(f"no automatic answer: {refused}")
    return lines + [f"problem: {error}" for error in decision.errors]


def latest(conn: Connection, interaction_ids: Sequence[str]) -> dict[str, tuple[Decision, str]]:
    """Interaction id → (the decision of its last decided round, why its answer was refused or "")."""
    rows = conn.execute(
        select(decisions.c.interaction_id, decisions.c.body, decisions.c.refused)
        .where(decisions.c.interaction_id.in_(interaction_ids))
        .order_by(decisions.c.decided_at)
    )
    return {r.interaction_id: (Decision.model_validate(r.body), r.refused) for r in rows}


def note_answer(conn: Connection, conversation_id: str, rule: str, address: str, domain: str, at: datetime) -> bool:
    """Remember a machine-made answer. False if this rule has answered in this conversation before."""
    return insert_new(
        conn, auto_answers, conversation_id=conversation_id, rule=rule, address=address, domain=domain, at=at
    )


def answered_by_rule(conn: Connection, conversation_id: str, rule: str) -> bool:
    query = select(auto_answers.c.rule).where(
        auto_answers.c.conversation_id == conversation_id, auto_answers.c.rule == rule
    )
    return conn.scalar(query) is not None


def answers_since(conn: Connection, *, address: str, domain: str, now: datetime) -> tuple[int, int]:
    """(machine-made answers to this address in the last day, to its domain in the last hour)."""
    daily = conn.scalar(
        select(func.count())
        .select_from(auto_answers)
        .where(auto_answers.c.address == address, auto_answers.c.at > now - timedelta(days=1))
    )
    hourly = conn.scalar(
        select(func.count())
        .select_from(auto_answers)
        .where(auto_answers.c.domain == domain, auto_answers.c.at > now - timedelta(hours=1))
    )
    return daily or 0, hourly or 0
