"""The bounds on machine-made answers that need a memory: checked inside the applier's transaction."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy.engine import Connection

from rules.model import AutoAnswer
from schemas.decision import Decision
from schemas.interaction import Interaction
from store import decisions
from store.decisions import AutoAnswered

_DAY, _HOUR = timedelta(days=1), timedelta(hours=1)


class Caps:
    """What machines have answered in these conversations, to these addresses. The caller holds the conversations'
    locks."""

    def __init__(self, conn: Connection, asking: Iterable[Interaction], now: datetime) -> None:
        asking = list(asking)
        self._now = now
        self._given: list[AutoAnswered] = []
        if not asking:
            return
        self._answered = decisions.rules_that_answered(conn, {i.conversation_id for i in asking})
        self._daily = decisions.answers_of_addresses(conn, {_address(i) for i in asking}, now - _DAY)
        self._hourly = decisions.answers_of_domains(conn, {_domain(i) for i in asking} - {""}, now - _HOUR)

    def refusal(self, bounds: AutoAnswer, decision: Decision, interaction: Interaction, *, is_open: bool) -> str:
        """Why this answer may not be given, or "" (then it counts as given). `is_open`: the conversation has an open
        work item."""
        assert decision.answer is not None
        rule, conversation = decision.answer.rule, interaction.conversation_id
        if (conversation, rule) in self._answered:
            return f"rule {rule} has answered in this conversation before"
        if is_open:
            return "the conversation is with an agent, or waits for one"
        address, domain = _address(interaction), _domain(interaction)
        daily, hourly = self._daily[address], self._hourly[domain]
        if interaction.channel == "email" and interaction.sender.verdict == "unknown" and daily >= 1:
            return "an unverified address is answered once in 24 h"
        if daily >= bounds.per_sender_per_day:
            return f"auto_answer.per_sender_per_day ({bounds.per_sender_per_day}) is reached"
        if domain and hourly >= bounds.per_domain_per_hour:
            return f"auto_answer.per_domain_per_hour ({bounds.per_domain_per_hour}) is reached for {domain}"
        self._given.append(AutoAnswered(conversation, rule, address, domain, self._now))
        self._answered.add((conversation, rule))
        self._daily[address] += 1
        self._hourly[domain] += 1
        return ""

    def flush(self, conn: Connection) -> None:
        """Remember what was given."""
        decisions.note_answers(conn, self._given)
        self._given = []


def _address(interaction: Interaction) -> str:
    return interaction.sender.address or interaction.conversation_id


def _domain(interaction: Interaction) -> str:
    return _address(interaction).rpartition("@")[2] if interaction.channel == "email" else ""
