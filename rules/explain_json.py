"""A decision as `rules explain --json` gives it: one stable shape, for people's own tools."""

from typing import Any

from rules.explain import TEXT_CUT
from schemas.decision import Decision


def explained(decision: Decision, refused: str = "") -> dict[str, Any]:
    """`refused`: why the answer was withheld after the decision was made. `answer` is the template's name; what is
    withheld is in `errors`."""
    withheld = refused or decision.refused
    answer = decision.answer.template if decision.answer is not None and not refused else None
    data = decision.model_dump(mode="json")
    errors = list(decision.errors)
    if withheld and withheld not in errors:
        errors.append(f"the answer was withheld: {withheld}")
    if decision.text_cut:
        errors.append(TEXT_CUT)
    return {
        "interaction_id": decision.interaction_id,
        "policy_version": decision.policy_version,
        "facts": data["facts"],
        "considered": decision.considered,
        "rules": [
            {key: rule[key] for key in ("name", "file", "line", "order", "result", "failed", "actions")}
            for rule in data["rules"]
        ],
        "decision": {
            "answer": answer,
            **{
                key: data[key]
                for key in ("queue", "tier", "target_s", "deadline", "skills", "tags", "attributes", "hold", "notify",
                            "webhook", "stopped_by")
            },
        },
        "errors": errors,
    }  # fmt: skip
