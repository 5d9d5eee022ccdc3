"""Rules → a result, in order, with a trace. Never raises: a rule that breaks does not fire and is reported."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from rules.compile import CompiledRule
from rules.conditions import shown
from rules.fields import View
from rules.model import Rule
from rules.policy import Policy
from schemas.decision import CloseReason, Tier
from schemas.durations import format_duration
from schemas.structs import ActionTrace, Facts, Failed, Interaction, RuleTrace


class ChosenAnswer(NamedTuple):
    rule: str
    template: str


@dataclass(frozen=True, slots=True)
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
    run = _Run(View(interaction, facts, now, policy.calendar_of), released)
    try:
        kept: Sequence[int] = policy.rules.index.candidates(run.view)
    except Exception as error:  # a bug in the index must not lose a rule
        run.errors.append(f"the index failed, every rule was evaluated: {_describe(error)}")
        kept = range(len(policy.rules.rules))
    numbers = range(len(policy.rules.rules)) if trace_all else kept
    run.all(policy.rules.rules[number] for number in numbers)
    return run.result(considered=len(kept))


def evaluate_batch(policy: Policy, items: Iterable[tuple[Interaction, Facts]], now: datetime) -> list[RuleResult]:
    """One result per item, in order."""
    return [evaluate(policy, interaction, facts, now) for interaction, facts in items]


class _Run:
    """The state of one evaluation."""

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

    def all(self, rules: Iterable[CompiledRule]) -> None:
        for compiled in rules:
            rule = compiled.rule
            if self.stopped_by is not None:
                self.trace(rule, "after_stop")
                continue
            try:
                failed = self.why_not(compiled)
            except Exception as error:
                # Sieve's implicit keep: one broken rule must never lose a message.
                self.errors.append(f"rule {rule.name}: {_describe(error)}")
                self.trace(rule, "failed", Failed(path="when", field="", operator="error", actual=_describe(error)))
                continue
            if failed is not None:
                self.trace(rule, "failed", failed)
            else:
                self.fire(rule)

    def why_not(self, compiled: CompiledRule) -> Failed | None:
        rule, occasion = compiled.rule, self.view.interaction.occasion
        if occasion not in rule.on:
            return Failed(path="on", field="occasion", operator="in", expected=list(rule.on), actual=occasion)
        if compiled.when is None or compiled.when.test(self.view):
            return None
        return compiled.when.first_failure(self.view)

    def fire(self, rule: Rule) -> None:
        done = self.actions(rule)
        self.trace(rule, "fired", actions=tuple(done))

    def actions(self, rule: Rule) -> list[ActionTrace]:
        done: list[ActionTrace] = []
        released = rule.name == self.released and (rule.hold is not None or rule.close is not None)
        for kind, value in (
            ("answer", rule.answer),
            ("queue", rule.queue),
            ("tier", rule.tier),
            ("target", rule.target),
            ("hold", rule.hold),
            ("close", rule.close),
        ):
            if value is not None:
                ignored = released and kind in ("hold", "close")
                done.append(self.write(rule, kind, value) if not ignored else _ignored(kind, value))
        so_far = self.view.so_far
        so_far.queue, so_far.tier = self.value.get("queue"), self.value.get("tier")
        for kind, values, into in (("tags", rule.tags, so_far.tags), ("skills", rule.skills, self.skills)):
            if values:
                into.update(dict.fromkeys(values))
                done.append(ActionTrace(kind=kind, value=list(values)))
        for name, text in rule.set.items():
            action = self.write(rule, f"set.{name}", text)
            if action.applied:
                self.attributes[name] = text
            done.append(action)
        if rule.stop:
            if released:
                done.append(_ignored("stop", True))
            else:
                self.stopped_by = rule.name
                done.append(ActionTrace(kind="stop", value=True))
        return done

    def write(self, rule: Rule, kind: str, value: Any) -> ActionTrace:
        """The first writer wins."""
        text = format_duration(value) if isinstance(value, timedelta) else shown(value)
        if kind in self.writer:
            return ActionTrace(kind=kind, value=text, applied=False, lost_to=self.writer[kind])
        self.writer[kind] = rule.name
        self.value[kind] = value
        return ActionTrace(kind=kind, value=text)

    def trace(
        self, rule: Rule, result: Any, failed: Failed | None = None, actions: tuple[ActionTrace, ...] = ()
    ) -> None:
        self.traces.append(
            RuleTrace(
                name=rule.name,
                order=rule.order,
                file=rule.file,
                line=rule.line,
                result=result,
                failed=failed,
                actions=actions,
            )
        )

    def result(self, considered: int) -> RuleResult:
        get: Callable[[str], Any] = self.value.get
        answer = get("answer")
        return RuleResult(
            answer=ChosenAnswer(self.writer["answer"], answer) if answer is not None else None,
            queue=get("queue"),
            tier=get("tier"),
            tier_rule=self.writer.get("tier"),
            target=get("target"),
            target_rule=self.writer.get("target"),
            tags=tuple(self.view.so_far.tags),
            skills=tuple(self.skills),
            attributes=self.attributes,
            hold=get("hold"),
            hold_rule=self.writer.get("hold"),
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
