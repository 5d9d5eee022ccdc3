"""Behaviour cases, run: what a decision is, beside what the case expects. What a case is: `rules.cases`."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from router.core.answers import compose
from router.core.triage import decide
from rules.cases import Case, Expect, Placed, contact_of
from rules.engine import RuleResult, evaluate
from rules.load import load_cases
from rules.policy import Policy
from rules.priority import prioritise
from rules.templates import TemplateError
from schemas import fast, structs
from schemas.decision import Facts
from schemas.text import skill
from switchboard.cli.rules_inputs import as_if_accepted


def cases_in(paths: Iterable[Path]) -> list[Placed]:
    """The cases of files. Raises ConfigError with every mistake in any of them."""
    return load_cases([(path, str(path)) for path in paths])


def differences(policy: Policy, case: Case) -> list[str]:
    """What is not as the case expects, a line each."""
    interaction, facts, now = situation(policy, case)
    result = evaluate(policy, interaction, facts, now)
    actual = _actual(policy, interaction, facts, now, result)
    expect = case.expect
    found = []
    for key in sorted(expect.model_fields_set - {"says", "never_says"}, key=[*Expect.model_fields].index):
        wanted = _comparable(key, getattr(expect, key))
        if actual[key] != wanted:
            found.append(f"{key}: expected {_shown(wanted)}, got {_shown(actual[key])}")
    counted = expect.answer is not None or expect.final or expect.says
    if actual["refused"] and counted and expect.model_fields_set.isdisjoint(("outcome", "refused")):
        # Else a case would be right about an answer that nobody gets.
        found.append(f"the answer is withheld: {actual['refused']} (if that is meant, expect it as refused)")
    if "errors" not in expect.model_fields_set:
        found += [f"error: {error}" for error in result.errors]
    return found + _words(policy, interaction, result, expect, now)


def situation(policy: Policy, case: Case) -> tuple[structs.Interaction, Facts, datetime]:
    """What a case begins with, and when."""
    given = {key: getattr(case.accepted, key) for key in case.accepted.model_fields_set}
    accepted = as_if_accepted(contact_of(case.given, case.at), policy, case.at, "case", 0, **given)
    return fast.as_struct(accepted), case.facts, case.at


def _actual(
    policy: Policy, interaction: structs.Interaction, facts: Facts, now: datetime, result: RuleResult
) -> dict[str, Any]:
    decision = decide(policy, interaction, facts, now)
    priority = prioritise(policy, interaction, facts, result)
    values = {
        "outcome": decision.outcome,
        "answer": result.answer.template if result.answer else None,
        "refused": decision.refused,
        "final": result.answer is not None and result.queue is None,
        "queue": result.queue,
        "tier": priority.tier,
        "tier_why": priority.tier_why,
        "target_s": priority.target.total_seconds(),
        "target_why": priority.target_why,
        "deadline": priority.deadline,
        "tags": result.tags,
        "skills": result.skills,
        "attributes": result.attributes,
        "affinity": result.affinity,
        "notify": result.notify,
        "webhook": result.webhook,
        "hold": result.hold,
        "close": result.close,
        "stopped_by": result.stopped_by,
        "fired": [trace.name for trace in result.traces if trace.result == "fired"],
        "errors": result.errors,
    }
    return {key: _comparable(key, value) for key, value in values.items()}


def _comparable(key: str, value: Any) -> Any:
    if key in ("tags", "skills"):
        return sorted(value if key == "tags" else map(skill, value))
    return list(value) if isinstance(value, tuple) else value


def _words(
    policy: Policy, interaction: structs.Interaction, result: RuleResult, expect: Expect, now: datetime
) -> list[str]:
    if not (expect.says or expect.never_says):
        return []
    if result.answer is None:
        return ["says: nothing is answered"] if expect.says else []
    queue = result.queue or policy.source.default_queue
    try:
        rendered = compose(policy, interaction, result, final=result.queue is None, queue=queue, now=now)
    except TemplateError as error:
        return [f"the answer cannot be rendered: {error}"]
    whole = "\n".join((rendered.subject, rendered.text, rendered.html or ""))
    missing = [f"the answer does not say {_shown(words)}" for words in expect.says if words not in whole]
    return missing + [f"the answer says {_shown(words)}" for words in expect.never_says if words in whole]


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(str, value)) + "]"
    if isinstance(value, datetime):
        return value.isoformat()
    return "nothing" if value is None else str(value)
