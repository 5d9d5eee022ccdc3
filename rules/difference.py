"""What tells two policies apart, so that only what it could touch has to be decided twice."""

from datetime import datetime

import orjson

from rules.compile import CompiledRules, compile_rules
from rules.fields import View
from rules.model import PolicySource, rule_content
from rules.policy import Policy
from schemas.structs import Facts, Interaction


class Difference:
    """Which interactions two policies could decide differently.

    Rules that stand in both run in the same order in both. So until one fires that stands in only one of them, both
    have decided the same; and where none of those comes into question, both decide alike.
    """

    def __init__(self, one: Policy, other: Policy) -> None:
        self._one = one
        self._rules = _in_one_only(one.source, other.source)

    def touches(self, interaction: Interaction, facts: Facts, now: datetime) -> bool:
        """False only if both policies decide the same on this interaction."""
        if self._rules is None:
            return True
        index = self._rules.index
        try:
            return bool(index.candidates(View(interaction, facts, now, self._one.calendar_of, index.phrases)))
        except Exception:  # a bug in the index must not hide a difference: deciding twice shows it
            return True


def _in_one_only(one: PolicySource, other: PolicySource) -> CompiledRules | None:
    """The rules of which there is no like in the other policy; None where telling costs more than it saves: more than
    the rules differs, or one of these comes into question always."""
    if one.without_rules() != other.without_rules():
        return None
    first, second = ({orjson.dumps(rule_content(rule)): rule for rule in each.rules} for each in (one, other))
    found = compile_rules([rule for key, rule in (first | second).items() if (key in first) != (key in second)])
    return None if found.index.always else found
