"""Signals choose the tier and the target; the deadline is the target inside business hours."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import prod
from typing import TypeVar

from rules.engine import RuleResult
from rules.model import TableCondition
from rules.policy import Policy
from rules.signals import ANGER
from rules.words import normal
from schemas.decision import TIERS, Tier
from schemas.durations import format_duration
from schemas.interaction import Channel
from schemas.structs import Facts, Interaction

_T = TypeVar("_T")
_Factors = tuple[tuple[str, float], ...]
"""(why, share of the target)."""
REMEMBERED = 8192
VIP = "vip"
"""The tag of customers whose target the modifier `vip` scales."""
_CAN_WAIT = frozenset({"list", "bulk", "notification"})


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
    urgent = policy.signals.urgent_word(result.hits, interaction.language)
    tier, tier_why = _tier(policy, interaction, facts, result, urgent)
    target, target_why = _target(policy, interaction, facts, result, tier, urgent)
    calendar = policy.calendar_of(queue or result.queue or interaction.queue or policy.source.default_queue)
    try:
        deadline = calendar.add_business_time(interaction.received_at, target)
    except OverflowError:  # the last days of year 9999
        deadline = interaction.received_at
    if calendar.name:
        target_why = target_why.replace(":", f" in business hours {calendar.name}:", 1)
    return Priority(tier, tier_why, target, target_why, deadline)


def can_wait(interaction: Interaction) -> bool:
    """Whether a machine wrote this to many, or as an alert: somebody looks at it, after all that people wrote."""
    return _automatic_class(interaction) in _CAN_WAIT


def _automatic_class(interaction: Interaction) -> str:
    return getattr(interaction.content, "automatic_class", "")  # email's alone


def _remembered(policy: Policy, key: tuple[object, ...], make: Callable[[], _T]) -> _T:
    """The table and the modifiers know few different cases, each of which comes a thousand times."""
    known = policy.known
    if key not in known:
        if len(known) >= REMEMBERED:
            known.clear()
        known[key] = make()
    found: _T = known[key]
    return found


def _tier(policy: Policy, interaction: Interaction, facts: Facts, result: RuleResult, urgent: str) -> tuple[Tier, str]:
    if result.tier is not None:
        return result.tier, f"rule {result.tier_rule}"
    if can_wait(interaction):
        return TIERS[-1], f"automatic mail of class {_automatic_class(interaction)}"
    customer = (facts.customer_tier, facts.agreement, facts.customer_segment)
    signals = (*customer, interaction.channel, interaction.language, interaction.sender.verdict, result.tags, urgent)
    return _remembered(policy, ("tier", *signals), lambda: _by_table(policy, interaction, facts, result, urgent))


def _by_table(
    policy: Policy, interaction: Interaction, facts: Facts, result: RuleResult, urgent: str
) -> tuple[Tier, str]:
    for number, row in enumerate(policy.source.priority.table, start=1):
        if row.when is None:
            return row.tier, f"priority table, row {number} (everything else)"
        if words := _fits(row.when, interaction, facts, result, urgent):
            return row.tier, f"priority table, row {number} ({words})"
    return "P3", "no row of the priority table"


def _fits(when: TableCondition, interaction: Interaction, facts: Facts, result: RuleResult, urgent: str) -> str:
    """The words for a row that fits, or nothing."""
    words = []
    for name, wanted, actual in (
        ("customer tier", when.customer_tier, (facts.customer_tier or "",)),
        ("agreement", when.agreement, (facts.agreement or "",)),
        ("segment", when.segment, (facts.customer_segment or "",)),
        ("channel", when.channel, (interaction.channel,)),
        ("language", when.language, (interaction.language or "",)),
        ("sender", when.verdict, (interaction.sender.verdict,)),
        ("tag", when.tags, result.tags),
    ):
        if wanted:
            folded = {normal(value) for value in wanted}
            both = [value for value in actual if normal(value) in folded]
            if not both:
                return ""
            words.append(f"{name} {both[0]}")
    if when.urgent is not None:
        if when.urgent is not bool(urgent):
            return ""
        words.append(f"urgent word {urgent!r}" if urgent else "no urgent word")
    return ", ".join(words)


def _target(
    policy: Policy, interaction: Interaction, facts: Facts, result: RuleResult, tier: Tier, urgent: str
) -> tuple[timedelta, str]:
    if result.target is not None:
        return result.target, f"{format_duration(result.target)}: rule {result.target_rule}"
    channel, agreement = interaction.channel, facts.agreement
    factors = tuple(_factors(policy, interaction, facts, result, urgent))
    key = ("target", channel, tier, agreement, factors)
    return _remembered(policy, key, lambda: _promised(policy, channel, tier, agreement, factors))


def _factors(
    policy: Policy, interaction: Interaction, facts: Facts, result: RuleResult, urgent: str
) -> Iterator[tuple[str, float]]:
    modifiers = policy.source.priority.modifiers
    # A further message in a running conversation is no repeat contact; a new or reopened matter is.
    if modifiers.repeat_contact < 1 and facts.contacts_7d > 0 and interaction.occasion != "follow_up":
        yield "repeat contact", modifiers.repeat_contact
    if modifiers.waiting < 1 and facts.conversation_state == "waiting":
        yield "waiting already", modifiers.waiting
    if modifiers.vip < 1 and _remembered(policy, ("vip", facts.customer_tags), lambda: _is_vip(facts)):
        yield "VIP", modifiers.vip
    if modifiers.urgent < 1 and urgent:
        yield f"urgent word {urgent!r}", modifiers.urgent
    if modifiers.sentiment < 1 and (anger := policy.signals.anger(result.hits, interaction.language)):
        yield "angry words", 1 - (1 - modifiers.sentiment) * anger / ANGER


def _is_vip(facts: Facts) -> bool:
    return VIP in map(normal, facts.customer_tags)


def _promised(
    policy: Policy, channel: Channel, tier: Tier, agreement: str | None, factors: _Factors
) -> tuple[timedelta, str]:
    priority = policy.source.priority
    base = priority.targets[channel][tier]
    why: list[str] = [channel, tier]
    name = normal(agreement or "")
    agreed = next((agreed for known, agreed in priority.agreements.items() if normal(known) == name), None)
    if agreed is not None and (target := agreed.targets.get(channel, {}).get(tier)) is not None:
        base = target
        why.append(f"{agreement} agreement")
    why += [f"{name} × {_share(factor)}" for name, factor in factors]
    whole = prod(factor for _, factor in factors)
    if whole < priority.modifiers.floor:
        whole = priority.modifiers.floor
        why.append(f"never less than × {_share(whole)}")
    target = base * whole
    return target, f"{format_duration(target)}: {', '.join(why)}"


def _share(factor: float) -> str:
    """As many digits as a target of a day needs to come out right to the second."""
    return f"{factor:.6g}"
