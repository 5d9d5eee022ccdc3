"""Rules → a result, in order, with a trace. Never raises: a rule that breaks does not fire and is reported."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from rules.compile import CompiledRule, Write, trace_of
from rules.conditions import shown
from rules.fields import View
from rules.policy import Policy
from schemas.decision import CloseReason, Tier
from schemas.structs import ActionTrace, Facts, Failed, Interaction, RuleTrace


class ChosenAnswer(NamedTuple):
    rule: str
    template: str


@dataclass(slots=True)
class RuleResult:
    """What the rules say. Nothing set means that no rule had an opinion."""

    answer: ChosenAnswer | None = None
    queue: str | None = None
    tier: Tier | None = None
    tier_rule: str | None = None
    target: timedelta | None = None
    target_rule: str | None = None
    tags: tuple[str, ...] = ()
    skills: tuple[str, ...] = ()
    attributes: dict[str, str] = field(default_factory=dict)
    hold: str | None = None
    hold_rule: str | None = None
    close: CloseReason | None = None
    stopped_by: str | None = None
    traces: tuple[RuleTrace, ...] = ()
    considered: int = 0
    errors: tuple[str, ...] = ()


def evaluate(
    policy: Policy,
    interaction: Interaction,
    facts: Facts,
    now: datetime,
    *,
    without_holds_of: str | None = None,
    trace_all: bool = False,
) -> RuleResult:
    """Run the policy's rules on one interaction.

    `without_holds_of` (default: what the interaction was released from) names a rule whose hold, close and stop do
    not count this time. `trace_all` also evaluates and lists the rules that the index ruled out; nothing else changes.
    """
    released = without_holds_of if without_holds_of is not None else interaction.released_from
    rules, index = policy.rules.rules, policy.rules.index
    run = _Run(View(interaction, facts, now, policy.calendar_of, index.phrases), released)
    try:
        kept: Sequence[int] = index.candidates(run.view)
    except Exception as error:  # a bug in the index must not lose a rule
        run.errors.append(f"the index failed, every rule was evaluated: {_describe(error)}")
        kept = range(len(rules))
    for number in range(len(rules)) if trace_all else kept:
        run.one(rules[number])
    return run.result(considered=len(kept))


def evaluate_batch(policy: Policy, items: Iterable[tuple[Interaction, Facts]], now: datetime) -> list[RuleResult]:
    """One result per item, in order."""
    return [evaluate(policy, interaction, facts, now) for interaction, facts in items]


class _Run:
    """The state of one evaluation."""

    __slots__ = ("attributes", "errors", "released", "skills", "stopped_by", "traces", "value", "view", "writer")

    def __init__(self, view: View, released: str | None) -> None:
        self.view = view
        self.released = released
        self.writer: dict[str, str] = {}
        self.value: dict[str, Any] = {}
        self.attributes: dict[str, str] = {}
        self.skills: dict[str, None] = {}
        self.stopped_by: str | None = None
        self.traces: list[RuleTrace] = []
        self.errors: list[str] = []

    def one(self, compiled: CompiledRule) -> None:
        rule = compiled.rule
        if self.stopped_by is not None:
            self.traces.append(compiled.after_stop)
            return
        failed: Failed | None
        try:
            occasion, why_not = self.view.interaction.occasion, compiled.why_not
            if occasion not in compiled.on:
                on = list(rule.on)
                failed = Failed(path="on", field="occasion", operator="in", expected=on, actual=occasion)
            else:
                failed = why_not(self.view) if why_not is not None else None
        except Exception as error:
            # Sieve's implicit keep: one broken rule must never lose a message.
            self.errors.append(f"rule {rule.name}: {_describe(error)}")
            failed = Failed(path="when", field="", operator="error", actual=_describe(error))
        if failed is not None:
            self.traces.append(trace_of(rule, "failed", failed=failed))
        else:
            self.fire(compiled)

    def fire(self, compiled: CompiledRule) -> None:
        rule = compiled.rule
        released = rule.name == self.released and (rule.hold is not None or rule.close is not None)
        lost: dict[str, ActionTrace] = {}
        for write in compiled.writes:
            if released and write.kind in ("hold", "close"):
                lost[write.kind] = _ignored(write.kind, write.value)
            elif not self.write(rule.name, write):
                first = self.writer[write.kind]
                text = write.trace.value
                lost[write.kind] = ActionTrace(kind=write.kind, value=text, applied=False, lost_to=first)
        so_far = self.view.so_far
        so_far.queue, so_far.tier = self.value.get("queue"), self.value.get("tier")
        for tag in rule.tags:
            so_far.tags[tag] = None
        for skill in rule.skills:
            self.skills[skill] = None
        if rule.stop:
            if released:
                lost["stop"] = _ignored("stop", True)
            else:
                self.stopped_by = rule.name
        trace = compiled.fired
        if lost:
            trace = trace_of(rule, "fired", actions=tuple(lost.get(a.kind, a) for a in trace.actions))
        self.traces.append(trace)

    def write(self, name: str, write: Write) -> bool:
        """False if a rule before this one has written that: the first writer wins."""
        if write.kind in self.writer:
            return False
        self.writer[write.kind] = name
        self.value[write.kind] = write.value
        if write.kind.startswith("set."):
            self.attributes[write.kind[4:]] = write.value
        return True

    def result(self, considered: int) -> RuleResult:
        get, by = self.value.get, self.writer.get
        answer = get("answer")
        return RuleResult(
            answer=ChosenAnswer(self.writer["answer"], answer) if answer is not None else None,
            queue=get("queue"),
            tier=get("tier"),
            tier_rule=by("tier"),
            target=get("target"),
            target_rule=by("target"),
            tags=tuple(self.view.so_far.tags),
            skills=tuple(self.skills),
            attributes=self.attributes,
            hold=get("hold"),
            hold_rule=by("hold"),
            close=get("close"),
            stopped_by=self.stopped_by,
            traces=tuple(self.traces),
            considered=considered,
            errors=tuple(self.errors),
        )


def _ignored(kind: str, value: Any) -> ActionTrace:
    """Written by a rule whose hold a person has released: not applied, and lost to nobody."""
    return ActionTrace(kind=kind, value=value, applied=False)


def _describe(error: Exception) -> str:
    return shown(f"{type(error).__name__}: {error}")  # type: ignore[no-any-return]
