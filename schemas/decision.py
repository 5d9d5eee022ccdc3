"""What triage chose for one interaction, and why."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from schemas.base import Instant, Model

Tier = Literal["P1", "P2", "P3", "P4"]
TIERS: tuple[Tier, ...] = ("P1", "P2", "P3", "P4")

CloseReason = Literal[
    "automatic",
    "duplicate_content",
    "spam",
    "canceled",
    "abandoned",
    "expired",
    "archived",
    "no_answer_needed",
]

ConversationState = Literal["new", "waiting", "assigned", "idle"]
"""Nothing was said before; a work item waits for an agent; an agent is at it; nothing is open."""

Outcome = Literal["answer", "queue", "hold", "close"]


class Facts(Model):
    """What was known besides the interaction itself. Recorded in the decision, so that a replay decides the same."""

    customer_tier: str | None = None
    customer_tags: tuple[str, ...] = ()
    customer_segment: str | None = None
    agreement: str | None = None
    """The name of what was agreed with this customer: its targets stand in the policy."""
    contacts_7d: int = 0
    """Contacts of this customer in the seven days before this one."""
    contact_days: tuple[int, ...] = ()
    """How many whole days ago this customer's contacts of the last 30 days were, the newest 50."""
    open_items: int = 0
    conversation_state: ConversationState = "new"
    last_agent: str | None = None
    known: bool = False
    """The customer was known before this interaction."""


class Answer(Model):
    """A text that a rule chose, rendered."""

    rule: str
    template: str
    subject: str = ""
    text: str
    html: str | None = None
    final: bool
    """True: this ends the matter. False: an acknowledgement; a human follows up."""


class Failed(Model):
    """The first condition that kept a rule from firing."""

    path: str
    field: str
    operator: str
    expected: Any = None
    actual: Any = None


class ActionTrace(Model):
    kind: str
    value: Any = None
    applied: bool = True
    lost_to: str | None = None
    """The rule that had set this before (the first writer wins)."""


class RuleTrace(Model):
    name: str
    order: int = 0
    file: str = ""
    line: int = 0
    result: Literal["fired", "failed", "after_stop"]
    failed: Failed | None = None
    actions: tuple[ActionTrace, ...] = ()


class Decision(Model):
    """Exactly one per interaction and round. Id: `<interaction id>:decision:<round>`."""

    TYPE: ClassVar[str] = "switchboard.decision.made.v1"

    id: str
    interaction_id: str
    conversation_id: str
    seq: int
    round: int = 1
    policy_version: str
    decided_at: Instant
    outcome: Outcome
    answer: Answer | None = None
    queue: str | None = None
    """None for a final answer, a hold or a close."""
    fallback_queue: str
    """Where a human takes over when the answer cannot be given after all."""
    refused: str = ""
    """Why triage withheld the answer that a rule had chosen."""
    hold_rule: str | None = None
    tier: Tier = "P3"
    tier_why: str = ""
    """Which row of the priority table or which rule chose the tier."""
    target_s: float
    """The promised response time in seconds, after modifiers."""
    target_why: str = ""
    deadline: Instant
    """received_at + target, inside business hours."""
    skills: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    attributes: dict[str, str] = Field(default_factory=dict)
    affinity: bool | None = None
    """Whether a rule wants the same agent again."""
    notify: tuple[str, ...] = ()
    webhook: tuple[str, ...] = ()
    hold: str | None = None
    close: CloseReason | None = None
    stopped_by: str | None = None
    facts: Facts = Facts()
    rules: tuple[RuleTrace, ...] = ()
    text_cut: bool = False
    """The text fills the 64 KiB that rules see: what was behind stands in the raw payload only."""
    considered: int = 0
    """How many rules were evaluated; the others were ruled out by the pre-filter."""
    errors: tuple[str, ...] = ()
    traceparent: str | None = None
