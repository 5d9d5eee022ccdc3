"""Rules → a result, in order, with a trace. Never raises: a rule that breaks does not fire and is reported."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from rules.compile import CompiledRule, trace_of
from rules.conditions import shown
from rules.fields import View
from rules.phrases import Hits
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
    affinity: bool | None = None
    notify: tuple[str, ...] = ()
    webhook: tuple[str, ...] = ()
    hold: str | None = None
    hold_rule: str | None = None
    close: CloseReason | None = None
    stopped_by: str | None = None
    traces: tuple[RuleTrace, ...] = ()
    considered: int = 0
    errors: tuple[str, ...] = ()
    hits: Hits = field(default_factory=dict, compare=False, repr=False)
    """Which of the policy's phrases stand in the text."""


def evaluate(
    policy: Policy,
    interaction: Interaction,
    facts: Facts,
    now: datetime,
    *,
    trace_all: bool = False,
) -> RuleResult:
    """Run the policy's rules on one interaction.

    Hold, close and stop of a rule that a person has released the interaction from do not count. `trace_all` also
    evaluates and lists the rules that the index ruled out; nothing else changes.
    """
    rules, index = policy.rules.rules, policy.rules.index
    run = _Run(View(interaction, facts, now, policy.calendar_of, index.phrases), interaction.without_holds_of)
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

    __slots__ = ("errors", "events", "released", "skills", "stopped_by", "traces", "view", "written")

    def __init__(self, view: View, released: tuple[str, ...]) -> None:
        self.view = view
        self.released = released
        self.written: dict[str, tuple[str, Any]] = {}
        """What was written → the rule that was first, and its value."""
        self.skills: dict[str, None] = {}
        self.events: dict[tuple[str, str], None] = {}
        self.stopped_by: str | None = None
        self.traces: list[RuleTrace] = []
        self.errors: list[str] = []

    def one(self, compiled: CompiledRule) -> None:
        if self.stopped_by is not None:
            self.traces.append(compiled.after_stop)
            return
        failed: Failed | None
        try:
            occasion, why_not = self.view.interaction.occasion, compiled.why_not
            if occasion not in compiled.on:
                on = list(compiled.rule.on)
                failed = Failed(path="on", field="occasion", operator="in", expected=on, actual=occasion)
            else:
                failed = why_not(self.view) if why_not is not None else None
        except Exception as error:
            # Sieve's implicit keep: one broken rule must never lose a message.
            self.errors.append(f"rule {compiled.name}: {_describe(error)}")
            failed = Failed(path="when", field="", operator="error", actual=_describe(error))
        if failed is not None:
            self.traces.append(trace_of(compiled.rule, "failed", failed=failed))
        else:
            self.fire(compiled)

    def fire(self, compiled: CompiledRule) -> None:
        name, written, so_far = compiled.name, self.written, self.view.so_far
        if name in self.released or not compiled.kinds.isdisjoint(written):
            self.traces.append(self.contested(compiled))
        else:
            for kind, value in compiled.writes:
                written[kind] = (name, value)
            if compiled.stop:
                self.stopped_by = name
            self.traces.append(compiled.fired)
        if "queue" in written:
            so_far.queue = written["queue"][1]
        if "tier" in written:
            so_far.tier = written["tier"][1]
        so_far.tags.update(compiled.tags)
        self.skills.update(compiled.skills)
        if compiled.events:
            self.events.update(dict.fromkeys(compiled.events))

    def contested(self, compiled: CompiledRule) -> RuleTrace:
        """Fire a rule of which something does not count: another one was first, or a person has released its hold."""
        rule, written = compiled.rule, self.written
        released = rule.name in self.released and (rule.hold is not None or rule.close is not None)
        actions: list[ActionTrace] = []
        values = dict(compiled.writes)
        for action in compiled.fired.actions:
            kind = action.kind
            if released and kind in ("hold", "close", "stop"):
                # Not applied, and lost to nobody.
                actions.append(ActionTrace(kind=kind, value=action.value, applied=False))
            elif kind in written:  # the first writer wins
                lost_to = written[kind][0]
                actions.append(ActionTrace(kind=kind, value=action.value, applied=False, lost_to=lost_to))
            else:
                actions.append(action)
                if kind in values:
                    written[kind] = (rule.name, values[kind])
                elif kind == "stop":
                    self.stopped_by = rule.name
        return trace_of(rule, "fired", actions=tuple(actions))

    def result(self, considered: int) -> RuleResult:
        result = RuleResult(
            tags=tuple(self.view.so_far.tags),
            skills=tuple(self.skills),
            stopped_by=self.stopped_by,
            traces=tuple(self.traces),
            considered=considered,
            errors=tuple(self.errors),
            hits=self.view.hits,
        )
        if self.events:
            result.notify = tuple(name for kind, name in self.events if kind == "notify")
            result.webhook = tuple(name for kind, name in self.events if kind == "webhook")
        for kind, (rule, value) in self.written.items():
            match kind:
                case "answer":
                    result.answer = ChosenAnswer(rule, value)
                case "queue":
                    result.queue = value
                case "tier":
                    result.tier, result.tier_rule = value, rule
                case "target":
                    result.target, result.target_rule = value, rule
                case "hold":
                    result.hold, result.hold_rule = value, rule
                case "close":
                    result.close = value
                case "affinity":
                    result.affinity = value
                case _:
                    result.attributes[kind.removeprefix("set.")] = value
        return result


def _describe(error: Exception) -> str:
    return shown(f"{type(error).__name__}: {error}")  # type: ignore[no-any-return]
