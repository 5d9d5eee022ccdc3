"""Decisions, as applied; and the memory of machine-made answers that their caps are checked against."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Column, bindparam, func, select
from sqlalchemy.engine import Connection

from schemas.decision import Decision
from schemas.fast import body_of
from store.sql import Written, insert_many_new
from store.tables import auto_answers, decisions


def add(conn: Connection, made: Sequence[tuple[Decision, str]]) -> None:
    """Keep decisions, each with why its answer was refused or "". One that is known already is left as it is."""
    insert_many_new(
        conn,
        decisions,
        [
            {
                "id": decision.id,
                "interaction_id": decision.interaction_id,
                "policy_version": decision.policy_version,
                "decided_at": decision.decided_at,
                "refused": refused,
                "body": Written(body_of(decision)),
            }
            for decision, refused in made
        ],
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


@dataclass(frozen=True, slots=True)
class AutoAnswered:
    """A machine-made answer, remembered for the caps. `domain` is "" where there is none."""

    conversation_id: str
    rule: str
    address: str
    domain: str
    at: datetime


def note_answers(conn: Connection, given: Sequence[AutoAnswered]) -> None:
    insert_many_new(conn, auto_answers, [asdict(each) for each in given])


def rules_that_answered(conn: Connection, conversation_ids: Collection[str]) -> set[tuple[str, str]]:
    """(conversation, rule) of all machine-made answers in these conversations."""
    return {(c, rule) for c, rule in conn.execute(_ANSWERED_BY, {"wanted": list(conversation_ids)})}


def answers_of_addresses(conn: Connection, addresses: Collection[str], since: datetime) -> Counter[str]:
    """How many machine-made answers each address was given since."""
    return _counted(conn, _OF_ADDRESSES, addresses, since)


def answers_of_domains(conn: Connection, domains: Collection[str], since: datetime) -> Counter[str]:
    """How many machine-made answers each mail domain was given since."""
    return _counted(conn, _OF_DOMAINS, domains, since)


def _counted(conn: Connection, query: Any, wanted: Collection[str], since: datetime) -> Counter[str]:
    rows = conn.execute(query, {"wanted": list(wanted), "since": since})
    return Counter({name: count for name, count in rows})


_ANSWERED_BY = select(auto_answers.c.conversation_id, auto_answers.c.rule).where(
    auto_answers.c.conversation_id.in_(bindparam("wanted", expanding=True))
)


def _counting(column: Column[str]) -> Any:
    return (
        select(column, func.count())
        .where(column.in_(bindparam("wanted", expanding=True)), auto_answers.c.at > bindparam("since"))
        .group_by(column)
    )


_OF_ADDRESSES, _OF_DOMAINS = _counting(auto_answers.c.address), _counting(auto_answers.c.domain)
