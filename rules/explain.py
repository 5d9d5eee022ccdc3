"""A decision in words that a team lead reads."""

import re
from collections.abc import Iterator
from datetime import UTC, timedelta
from typing import Any

from rules.model import PolicySource
from schemas.decision import ActionTrace, Decision, Failed, RuleTrace

_OPERATORS = {
    "contains": "contains any of",
    "contains_all": "contains all of",
    "starts_with": "starts with",
    "ends_with": "ends with",
    "equals": "is",
    "in": "is one of",
    "regex": "matches",
    "domain": "is of domain",
    "cidr": "is an address of",
    "less_than": "is less than",
    "at_most": "is at most",
    "more_than": "is more than",
    "at_least": "is at least",
    "between": "is between",
    "any": "fits none of",
}
_COMPARISON = re.compile(f"(.*?) (not )?({'|'.join((*_OPERATORS, 'exists', 'cel'))}) (.*)", re.DOTALL)
"""How `rules.conditions` writes one comparison of several: `channel not in [email, chat]`."""

SOON = timedelta(minutes=15)
"""What is due within that is told to the second."""
TEXT_CUT = "the text fills the 64 KiB that rules see; what is behind stands in the raw payload only"


def describe(decision: Decision, policy: PolicySource | None = None) -> list[str]:
    """Lines from the outcome to the rules that did not fire. Times are local to the queue, by the policy that it was
    decided with, or in UTC."""
    lines = [_outcome(decision)]
    lines.append(f"priority {decision.tier} because of {decision.tier_why or 'no row of the priority table'}")
    target, _, why = decision.target_why.partition(": ")
    zone = policy.zone_of(decision.queue or decision.fallback_queue) if policy is not None else UTC
    due = decision.deadline.astimezone(zone)
    clock = "%H:%M:%S" if decision.deadline - decision.decided_at <= SOON else "%H:%M"
    lines.append(f"due {due:%Y-%m-%d} {due:{clock}} {zone}" + (f" because {why} ({target})" if why else ""))
    if decision.text_cut:
        lines.append(TEXT_CUT)
    if decision.refused:
        lines.append(f"the rules' answer was withheld: {decision.refused}")
    if decision.tags:
        lines.append(f"tags: {', '.join(decision.tags)}")
    if decision.skills:
        lines.append(f"skills: {', '.join(decision.skills)}")
    lines += [f"set {name} to {value!r}" for name, value in decision.attributes.items()]
    for result in ("fired", "failed", "after_stop"):
        lines += [line for rule in decision.rules if rule.result == result for line in _rule(rule, decision.stopped_by)]
    if not decision.rules:
        lines.append("no rule came into question")
    lines += [f"error: {error}" for error in decision.errors]
    return lines


def _outcome(decision: Decision) -> str:
    answer = decision.answer
    match decision.outcome:
        case "hold":
            return f"held: {decision.hold}"
        case "close":
            return f"closed: {decision.close}"
        case "answer" if answer is not None:
            return f"answered with {answer.template} (rule {answer.rule}); nothing is left to do"
        case _:
            queued = f"waits in queue {decision.queue or decision.fallback_queue}"
            return f"{queued}; acknowledged with {answer.template} (rule {answer.rule})" if answer else queued


def _rule(rule: RuleTrace, stopped_by: str | None) -> list[str]:
    if rule.result == "after_stop":
        return [f"rule {rule.name} was not looked at: rule {stopped_by} had stopped"]
    if rule.result == "failed":
        return [f"rule {rule.name} did not fire: {_failed(rule.failed)}"]
    actions = ", ".join(_action(action) for action in rule.actions)
    return [f"rule {rule.name} fired: {actions}"]


def _action(action: ActionTrace) -> str:
    words = action.kind if action.value is True else f"{action.kind} {_value(action.value)}"
    if action.applied:
        return words
    if action.lost_to is None:
        return f"{words} (not this time: a person released it)"
    return f"{words} (not applied: rule {action.lost_to} was first)"


def _failed(failed: Failed | None) -> str:
    if failed is None:
        return "its conditions do not hold"
    if failed.operator == "error":
        return f"it broke ({failed.actual})"
    if failed.operator.removeprefix("not ") == "cel":
        outcome = "does not hold" if failed.operator == "cel" else "holds"
        return f"the expression {outcome}: {failed.expected}{_named(failed.actual)}"
    if failed.operator in ("any", "not") and isinstance(failed.actual, list):
        words = "none of these holds" if failed.operator == "any" else "not: these hold"
        return f"{words}: {'; '.join(_each(failed))}"
    negated = failed.operator.startswith("not ")
    operator = failed.operator.removeprefix("not ")
    if operator == "exists":
        wanted = bool(failed.expected) is not negated
        return f"{failed.field} should {'exist' if wanted else 'not exist'} — was {_value(failed.actual, quote=True)}"
    words = f"{failed.field} {_OPERATORS.get(operator, operator)} {_value(failed.expected)}"
    return f"{'not: ' if negated else ''}{words} — was {_value(failed.actual, quote=True)}"


def _each(failed: Failed) -> Iterator[str]:
    """`channel is one of [chat] — was 'email'` for each comparison of `any` or `not`."""
    for wanted, actual in zip(failed.expected, failed.actual, strict=False):
        match = _COMPARISON.fullmatch(str(wanted))
        field, negated, operator, value = match.groups() if match else (str(wanted), None, "", "")
        if operator == "cel":
            told = (negated is not None) is (failed.operator == "any")
            yield f"{'not: ' if told else ''}the expression {value}{_named(actual)}"
            continue
        words = f"{field} {_OPERATORS.get(operator, operator)} {value}"
        if operator == "exists":
            words = f"{field} {'exists' if value == 'True' else 'does not exist'}"
        # What made a `not` fail is written as what was wanted of it: that it does not hold.
        told = (negated is not None) is (failed.operator == "any")
        yield f"{'not: ' if told else ''}{words} — was {_value(actual, quote=True)}"


def _named(values: Any) -> str:
    """The values of the names in an expression."""
    known = sorted(values.items()) if isinstance(values, dict) else []
    return " — " + ", ".join(f"{name} was {_value(value, quote=True)}" for name, value in known) if known else ""


def _value(value: Any, *, quote: bool = False) -> str:
    if value is None:
        return "empty"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(item, quote=quote) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_value(item, quote=quote)}" for key, item in value.items()) + "}"
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"'{value}'" if quote and isinstance(value, str) else str(value)
