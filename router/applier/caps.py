"""The bounds on machine-made answers that need a memory: checked inside the applier's transaction."""

from datetime import datetime

from sqlalchemy.engine import Connection

from rules.model import AutoAnswer
from schemas.decision import Decision
from schemas.interaction import Interaction
from schemas.states import OPEN_WORK_ITEM_STATES
from store import decisions, work_items
from store.conversations import lock


def refusal(conn: Connection, bounds: AutoAnswer, decision: Decision, interaction: Interaction, now: datetime) -> str:
    """Why this answer may not be given, or "" (then it is remembered as given). Takes the conversation's lock."""
    assert decision.answer is not None
    lock(conn, interaction.conversation_id)
    rule = decision.answer.rule
    if decisions.answered_by_rule(conn, interaction.conversation_id, rule):
        return f"rule {rule} has answered in this conversation before"
    if any(
        item.state in OPEN_WORK_ITEM_STATES for item in work_items.of_conversation(conn, interaction.conversation_id)
    ):
        return "the conversation is with an agent, or waits for one"
    address = interaction.sender.address or interaction.conversation_id
    domain = address.rpartition("@")[2] if interaction.channel == "email" else ""
    daily, hourly = decisions.answers_since(conn, address=address, domain=domain, now=now)
    if interaction.channel == "email" and interaction.sender.verdict == "unknown" and daily >= 1:
        return "an unverified address is answered once in 24 h"
    if daily >= bounds.per_sender_per_day:
        return f"auto_answer.per_sender_per_day ({bounds.per_sender_per_day}) is reached"
    if domain and hourly >= bounds.per_domain_per_hour:
        return f"auto_answer.per_domain_per_hour ({bounds.per_domain_per_hour}) is reached for {domain}"
    decisions.note_answer(conn, interaction.conversation_id, rule, address, domain, now)
    return ""
