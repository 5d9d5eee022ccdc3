"""May a machine answer this interaction at all, and with which words? (RFC 3834, and nothing said to strangers.)"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from rules.engine import RuleResult
from rules.policy import Policy
from rules.templates import TemplateError, echoes_customer, render
from schemas.interaction import Channel
from schemas.structs import Answer, Facts, Interaction

WRITTEN: frozenset[Channel] = frozenset({"email", "chat", "web_form"})
"""Channels that can carry a written answer back."""


NO_MACHINE: Mapping[str, str] = {
    "suppressed": "the customer has complained of our mail (a feedback report): only people write to them",
    "undeliverable": "mail to this address comes back",
}
"""Tags of customers whom no machine writes to."""


def refusal(policy: Policy, interaction: Interaction, facts: Facts, template: str) -> str:
    """Why no machine-made answer may be given, or "". Depends on nothing that changes, so a replay says the same."""
    if interaction.channel not in WRITTEN:
        return f"a {interaction.channel} contact cannot be answered in writing"
    if interaction.automatic:
        return f"automatic mail is never answered by machine: {interaction.automatic}"
    if "suppressed" in interaction.flags:
        return "the mail says that no machine shall answer it"
    if "not_addressed_to_us" in interaction.flags:
        return "none of our addresses is among its recipients"
    if "encrypted" in interaction.flags:
        return "nobody but a person can read an encrypted mail"
    if "unparsed" in interaction.flags:
        return "the mail could not be read by machine"
    if interaction.archived or "backfill" in interaction.flags:
        return "back-fill is never answered"
    if interaction.accepted_at - interaction.received_at > policy.source.auto_answer.max_age:
        return "older than auto_answer.max_age when it was accepted"
    if interaction.channel != "email":
        return ""
    if told := next((NO_MACHINE[tag] for tag in facts.customer_tags if tag in NO_MACHINE), ""):
        return told
    if not interaction.sender.address:
        return "there is no address to answer to"
    if interaction.sender.verdict == "failed":
        return "the sender failed authentication"
    if interaction.sender.verdict == "unknown":
        if policy.source.auto_answer.unknown == "never":
            return "the sender is not verified, and auto_answer.unknown is never"
        if echoes_customer(policy.templates[template]):
            return f"template {template} repeats the customer's words, and the sender is not verified"
    return ""


def compose(
    policy: Policy, interaction: Interaction, result: RuleResult, *, final: bool, queue: str, now: datetime
) -> Answer:
    """Render the answer that the rules chose. Raises TemplateError: then a human answers."""
    if result.answer is None:
        raise TemplateError("no rule chose an answer")
    template = policy.templates[result.answer.template]
    # Days and hours in the language that is printed, which need not be the customer's.
    language = template.choose(interaction.language)
    rendered = render(template, interaction.language, _fields(policy, interaction, result, queue, now, language))
    return Answer(
        rule=result.answer.rule,
        template=result.answer.template,
        subject=rendered.subject,
        text=rendered.text,
        html=rendered.html,
        final=final,
    )


def _fields(
    policy: Policy, interaction: Interaction, result: RuleResult, queue: str, now: datetime, language: str
) -> dict[str, Any]:
    calendar = policy.calendar_of(queue)
    opens = None if calendar.is_open(now) else calendar.next_open(now)
    return {
        "reference": interaction.reference,
        "customer_name": interaction.sender.name,
        "subject": interaction.subject,
        "channel": interaction.channel,
        "account": interaction.account,
        "language": interaction.language or "",
        "opening_hours": calendar.text(language),
        "next_opening": calendar.moment_text(opens, language) if opens else "",
        "attributes": {**interaction.attributes, **result.attributes},
        "company": policy.source.company,
    }
