"""Runs the cases in *.yaml: given an interaction and facts, the example policy decides as expected."""

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from router.core.answers import compose
from rules.engine import evaluate
from rules.load import read_yaml
from rules.priority import prioritise
from schemas.decision import Facts
from schemas.interaction import Contact, Sender
from tests.kit import contacts
from tests.kit.policies import accepted, example_policy

CHANNELS = {"email": contacts.email, "chat": contacts.chat, "web_form": contacts.web_form, "phone_log": contacts.call}
OPEN = "2026-03-04T10:00:00+00:00"  # a Wednesday, 11:00 in Berlin


def _cases() -> list[Any]:
    files = sorted(Path(__file__).parent.glob("*.yaml"))
    return [
        pytest.param(case, id=f"{file.stem}: {case['case']}") for file in files for case in read_yaml(file, file.name)
    ]


def _contact(given: dict[str, Any]) -> Contact:
    given = dict(given)
    make = CHANNELS[given.pop("channel", "email")]
    if repeat := given.pop("text_times", None):
        given["text"] = given["text"] * repeat
    if "headers" in given:
        given["headers"] = tuple((name, value) for name, value in given["headers"].items())
    form = given.pop("form", None)
    name = given.pop("name", None)
    contact = make(**given)
    if form is not None:
        contact = contact.model_copy(update={"content": contact.content.model_copy(update={"fields": form})})
    if name is not None:
        sender = Sender(**{**contact.sender.model_dump(), "name": name})
        contact = contact.model_copy(update={"sender": sender})
    return contact


@pytest.mark.parametrize("case", _cases())
def test_case(case: dict[str, Any]) -> None:
    assert set(case) <= {"case", "given", "facts", "at", "accepted", "expect"}
    policy = example_policy()
    now = datetime.fromisoformat(case.get("at", OPEN))
    contact = _contact(case["given"]).model_copy(update={"received_at": now})
    interaction = accepted(contact, **case.get("accepted", {}))
    facts = Facts(**case.get("facts", {}))
    result = evaluate(policy, interaction, facts, now)
    priority = prioritise(policy, interaction, facts, result)
    actual: dict[str, Any] = {
        "answer": result.answer.template if result.answer else None,
        "final": result.answer is not None and result.queue is None,
        "queue": result.queue,
        "tier": priority.tier,
        "tier_why": priority.tier_why,
        "target_why": priority.target_why,
        "deadline": priority.deadline.isoformat(),
        "tags": sorted(result.tags),
        "hold": result.hold,
        "close": result.close,
        "stopped_by": result.stopped_by,
        "fired": [trace.name for trace in result.traces if trace.result == "fired"],
    }
    expect = dict(case["expect"])
    says, never_says = expect.pop("says", []), expect.pop("never_says", [])
    assert {key: actual[key] for key in expect} == expect
    assert result.errors == ()
    if result.answer is not None:
        queue = result.queue or policy.source.default_queue
        rendered = compose(policy, interaction, result, final=result.queue is None, queue=queue, now=now)
        whole = "\n".join((rendered.subject, rendered.text, rendered.html or ""))
        for words in says:
            assert words in whole
        for words in never_says:
            assert words not in whole
    else:
        assert not says, "nothing is answered"
