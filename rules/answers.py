"""A chosen answer → text: the fields that templates may name, taken from the interaction and the policy."""

from collections.abc import Mapping
from datetime import datetime

from rules.policy import Policy
from rules.templates import Rendered, TemplateError, render
from schemas.interaction import Interaction


def render_answer(
    policy: Policy,
    interaction: Interaction,
    template: str,
    now: datetime,
    *,
    queue: str | None = None,
    attributes: Mapping[str, str] | None = None,
) -> Rendered:
    """Render a template of the policy for one interaction.

    `queue`: whose opening hours are named (default: the account's, else the policy's). `attributes`: what rules have
    set; they come over those of the interaction. Raises TemplateError, on which a human takes over.
    """
    known = policy.templates.get(template)
    if known is None:
        raise TemplateError(f"there is no template {template}")
    language = known.choose(interaction.language)
    calendar = policy.calendar_of(queue or interaction.queue or policy.source.default_queue)
    opening = calendar.next_open(now) if not calendar.is_open(now) else None
    fields = {
        "reference": interaction.reference,
        "customer_name": interaction.sender.name,
        "subject": interaction.subject,
        "channel": interaction.channel,
        "account": interaction.account,
        "language": interaction.language or "",
        "opening_hours": calendar.text(language),
        "next_opening": calendar.moment_text(opening, language) if opening is not None else "",
        "attributes": {**interaction.attributes, **(attributes or {})},
        "company": policy.source.company,
    }
    return render(known, interaction.language, fields)
