"""Signals choose the tier and the target; the deadline is the target inside business hours."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from rules.engine import RuleResult
from rules.model import TableCondition
from rules.policy import Policy
from schemas.decision import Tier
from schemas.durations import format_duration
from schemas.interaction import Channel
from schemas.structs import Facts, Interaction

_T = TypeVar("_T")
REMEMBERED = 8192


@dataclass(slots=True)
class Priority:
    """`deadline` is an instant in UTC, never before the interaction was received."""

    tier: Tier
    tier_why: str
    target: timedelta
    target_why: str
    deadline: datetime


def prioritise(
    policy: Policy, interaction: Interaction, facts: Facts, result: RuleResult, *, queue: str | None = None
) -> Priority:
    """`queue`: where the work ends up (default: the rules' choice, the account's, the policy's), for its hours."""
    tier, tier_why = _tier(policy, interaction, facts, result)
    target, target_why = _target(policy, interaction, facts, result, tier)
    calendar = policy.calendar_of(queue or result.queue or interaction.queue or policy.source.default_queue)
    try:
        deadline = calendar.add_business_time(interaction.received_at, target)
    except OverflowError:  # the last days of year 9999
        deadline = interaction.received_at
    return Priority(tier, tier_why, target, target_why, deadline)


def _remembered(policy: Policy, key: tuple[object, ...], make: Callable[[], _T]) -> _T:
    """The table and the modifiers know few different cases, each of which comes a thousand times."""
    known = policy.known
    if key not in known:
        if len(known) >= REMEMBERED:
            known.clear()
        known[key] = make()
    found: _T = known[key]
    return found


def _tier(policy: Policy, interaction: Interaction, facts: Facts, result: RuleResult) -> tuple[Tier, str]:
    if result.tier is not None:
        return result.tier, f"rule {result.tier_rule}"
    sender = interaction.sender
    signals = (facts.customer_tier, interaction.channel, interaction.language, sender.verdict, result.tags)
    return _remembered(policy, ("tier", *signals), lambda: _by_table(policy, interaction, facts, result))


def _by_table(policy: Policy, interaction: Interaction, facts: Facts, result: RuleResult) -> tuple[Tier, str]:
    for number, row in enumerate(policy.source.priority.table, start=1):
        if row.when is None:
            return row.tier, f"priority table, row {number} (everything else)"
        if words := _fits(row.when, interaction, facts, result):
            return row.tier, f"priority table, row {number} ({words})"
    return "P3", "no row of the priority table"


def _fits(when: TableCondition, interaction: Interaction, facts: Facts, result: RuleResult) -> str:
    """The words for a row that fits, or nothing."""
    words = []
    for name, wanted, actual in (
        ("customer tier", when.customer_tier, (facts.customer_tier or "",)),
        ("channel", when.channel, (interaction.channel,)),
        ("language", when.language, (interaction.language or "",)),
        ("sender", when.verdict, (interaction.sender.verdict,)),
        ("tag", when.tags, result.tags),
    ):
        if wanted:
            both = [value for value in actual if value in wanted]
            if not both:
                return ""
            words.append(f"{name} {both[0]}")
    return ", ".join(words)


def _target(
    policy: Policy, interaction: Interaction, facts: Facts, result: RuleResult, tier: Tier
) -> tuple[timedelta, str]:
    if result.target is not None:
        return result.target, f"{format_duration(result.target)}: rule {result.target_rule}"
    # A further message in a running conversation is no repeat contact; a new or reopened matter is.
    repeat = facts.contacts_7d > 0 and interaction.occasion != "follow_up"
    channel = interaction.channel
    return _remembered(policy, ("target", channel, tier, repeat), lambda: _promised(policy, channel, tier, repeat))


def _promised(policy: Policy, channel: Channel, tier: Tier, repeat: bool) -> tuple[timedelta, str]:
    base = policy.source.priority.targets[channel][tier]
    modifiers = policy.source.priority.modifiers
    if modifiers.repeat_contact < 1 and repeat:
        factor = max(modifiers.repeat_contact, modifiers.floor)
        target = base * factor
        return target, f"{format_duration(target)}: {channel}, {tier}, repeat contact × {factor:g}"
    return base, f"{format_duration(base)}: {channel}, {tier}"
