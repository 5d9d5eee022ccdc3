"""Behaviour cases: given this interaction, expect this decision. YAML beside the rules, run by `rules test`."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from router.core.answers import compose
from router.core.triage import decide
from rules.engine import RuleResult, evaluate
from rules.load import read_yaml
from rules.policy import Policy
from rules.priority import prioritise
from rules.problems import did_you_mean
from rules.templates import TemplateError
from schemas import fast, structs
from schemas.decision import Facts
from schemas.errors import ConfigError
from schemas.interaction import Contact
from switchboard.cli.rules_inputs import as_if_accepted

OPEN = datetime(2026, 3, 4, 10, 0, tzinfo=UTC)
"""When a case happens that names no moment: a Wednesday, 11:00 in Berlin."""
_KEYS = ("case", "given", "facts", "at", "accepted", "expect")
_CONTENT: dict[str, dict[str, Any]] = {
    "email": {"message_id": "case@example.org", "to": ["support@shop.example"]},
    "chat": {"session_id": "case", "client_message_id": "1"},
    "web_form": {"form": "contact"},
    "phone_log": {"call_id": "case", "caller": "+49301234567", "disposition": "no-answer"},
}
_SENDERS: dict[str, dict[str, Any]] = {
    "email": {"kind": "email", "address": "ann@example.org", "name": "Ann"},
    "chat": {"kind": "session", "address": "case", "verdict": "verified"},
    "web_form": {"kind": "email", "address": "bob@example.org", "name": "Bob"},
    "phone_log": {"kind": "phone", "address": "+49301234567", "name": "Carl"},
}


def cases_in(paths: list[Path]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(where, case). Raises ConfigError for what is no list of cases."""
    for path in paths:
        tree = read_yaml(path, str(path))
        if tree is None:
            continue
        if not isinstance(tree, list) or not all(isinstance(case, dict) for case in tree):
            raise ConfigError([f"{path}: a file of cases holds a list of mappings"], hint="start each with '- case:'")
        lines = getattr(tree, "lines", [0] * len(tree))
        yield from ((f"{path}:{line}", case) for case, line in zip(tree, lines, strict=True))


def differences(policy: Policy, case: dict[str, Any]) -> list[str]:
    """What is not as the case expects, a line each; also what is wrong with the case itself."""
    wrong = [f"unknown key {key!r} ({did_you_mean(key, _KEYS)})" for key in case if key not in _KEYS]
    if not isinstance(case.get("expect"), dict):
        wrong.append("a case needs `expect: {…}`")
    if wrong:
        return wrong
    try:
        interaction, facts, now = situation(policy, case)
    except ValidationError as error:
        return [f"given: {'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_url=False)]
    except (ValueError, TypeError) as error:
        return [f"given: {error}"]
    result = evaluate(policy, interaction, facts, now)
    decision = decide(policy, interaction, facts, now)
    priority = prioritise(policy, interaction, facts, result)
    actual: dict[str, Any] = {
        "outcome": decision.outcome,
        "answer": result.answer.template if result.answer else None,
        "refused": decision.refused,
        "final": result.answer is not None and result.queue is None,
        "queue": result.queue,
        "tier": priority.tier,
        "tier_why": priority.tier_why,
        "target_s": priority.target.total_seconds(),
        "target_why": priority.target_why,
        "deadline": priority.deadline.isoformat(),
        "tags": sorted(result.tags),
        "skills": sorted(result.skills),
        "attributes": result.attributes,
        "affinity": result.affinity,
        "notify": list(result.notify),
        "webhook": list(result.webhook),
        "hold": result.hold,
        "close": result.close,
        "stopped_by": result.stopped_by,
        "fired": [trace.name for trace in result.traces if trace.result == "fired"],
        "errors": list(result.errors),
    }
    expect = dict(case["expect"])
    says, never = expect.pop("says", []), expect.pop("never_says", [])
    found = []
    for key, wanted in expect.items():
        if key not in actual:
            found.append(f"unknown expectation {key!r} ({did_you_mean(key, (*actual, 'says', 'never_says'))})")
            continue
        wanted = sorted(wanted) if key in ("tags", "skills") and isinstance(wanted, list) else wanted
        if actual[key] != wanted:
            found.append(f"{key}: expected {_shown(wanted)}, got {_shown(actual[key])}")
    if "errors" not in expect:
        found += [f"error: {error}" for error in result.errors]
    return found + (_words(policy, interaction, result, says, never, now) if says or never else [])


def situation(policy: Policy, case: dict[str, Any]) -> tuple[structs.Interaction, Facts, datetime]:
    """What a case begins with, and when. Raises ValueError, TypeError, ValidationError."""
    now = datetime.fromisoformat(str(case["at"])) if "at" in case else OPEN
    contact = contact_of(dict(case.get("given") or {}), now)
    accepted = as_if_accepted(contact, policy, now, "case", 0, **(case.get("accepted") or {}))
    return fast.as_struct(accepted), Facts.model_validate(case.get("facts") or {}), now


def _words(
    policy: Policy, interaction: Any, result: RuleResult, says: list[str], never: list[str], now: datetime
) -> list[str]:
    if result.answer is None:
        return ["says: nothing is answered"] if says else []
    queue = result.queue or policy.source.default_queue
    try:
        rendered = compose(policy, interaction, result, final=result.queue is None, queue=queue, now=now)
    except TemplateError as error:
        return [f"the answer cannot be rendered: {error}"]
    whole = "\n".join((rendered.subject, rendered.text, rendered.html or ""))
    missing = [f"the answer does not say {_shown(words)}" for words in says if words not in whole]
    return missing + [f"the answer says {_shown(words)}" for words in never if words in whole]


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(str, value)) + "]"
    return "nothing" if value is None else str(value)


def contact_of(given: dict[str, Any], now: datetime) -> Contact:
    """What a case's `given` describes; what it leaves out is pleasant. Raises ValueError, ValidationError."""
    channel = given.pop("channel", "email")
    if channel not in _CONTENT:
        raise ValueError(f"unknown channel {channel!r} ({did_you_mean(str(channel), _CONTENT)})")
    sender, content = dict(_SENDERS[channel]), {"channel": channel, **_CONTENT[channel]}
    if "form" in given:
        content["fields"] = given.pop("form")
    if "headers" in given:
        content["headers"] = list(given.pop("headers").items())
    for key in (
        "to",
        "cc",
        "reply_to",
        "new_text",
        "automatic_class",
        "disposition",
        "direction",
        "duration_s",
        "page",
    ):
        if key in given:
            content[key] = given.pop(key)
    for key, name in (("sender", "address"), ("name", "name"), ("verdict", "verdict"), ("phone", "address")):
        if key in given:
            sender[name] = given.pop(key)
    given["text"] = str(given.get("text", "")) * int(given.pop("text_times", 1))
    known = set(Contact.model_fields)
    if unknown := sorted(set(given) - known):
        raise ValueError(f"unknown key {unknown[0]!r} ({did_you_mean(unknown[0], known)})")
    values = {"account": "support", "native_id": "case", "received_at": now, "sender": sender, "content": content}
    return Contact.model_validate({**values, **given})
