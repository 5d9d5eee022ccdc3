"""Rules → compiled rules and the index that finds the few that an interaction could make fire."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from rules.conditions import Check, compile_condition, shown
from rules.index import Index
from rules.model import Rule
from rules.words import normal
from schemas.durations import format_duration
from schemas.structs import ActionTrace, RuleTrace

_WRITES = ("answer", "queue", "tier", "target", "hold", "close", "affinity")
_UNITED = ("tags", "skills", "notify", "webhook")


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A rule with all that can be made before an interaction comes: most of a trace is the same every time."""

    rule: Rule
    name: str
    why_not: Check | None
    """`when` as a function; None if it always holds."""
    on: frozenset[str]
    writes: tuple[tuple[str, Any], ...]
    """What it writes if no rule before it has, and the values."""
    kinds: frozenset[str]
    tags: Mapping[str, None]
    skills: Mapping[str, None]
    events: tuple[tuple[str, str], ...]
    """(notify or webhook, to whom)."""
    stop: bool
    fired: RuleTrace
    """Its trace if it fires and every write counts."""
    after_stop: RuleTrace


@dataclass(frozen=True, slots=True)
class CompiledRules:
    """In the order in which they run."""

    rules: tuple[CompiledRule, ...]
    index: Index


def compile_rules(rules: Iterable[Rule], index: Index | None = None) -> CompiledRules:
    """`index`: an empty one, whose book may hold phrases already. A tag is spelled as the first rule spells it.

    Raises ValueError for a condition that cannot be compiled; `rules.check` finds these first."""
    ordered = sorted(rules, key=lambda rule: (rule.order, rule.name))
    index = index or Index()
    compiled = []
    spelled: dict[str, str] = {}
    for number, rule in enumerate(ordered):
        tags = [spelled.setdefault(normal(tag), tag) for tag in rule.tags]
        compiled.append(_compile(rule.model_copy(update={"tags": tuple(dict.fromkeys(tags))}) if tags else rule, index))
        index.add(number, rule.when)
    index.phrases.close()
    return CompiledRules(tuple(compiled), index)


def _compile(rule: Rule, index: Index) -> CompiledRule:
    writes = [(kind, value) for kind in _WRITES if (value := getattr(rule, kind)) is not None]
    sets = [(f"set.{name}", text) for name, text in rule.set.items()]
    lists = [(kind, list(values)) for kind in _UNITED if (values := getattr(rule, kind))]
    stop = [("stop", True)] if rule.stop else []
    return CompiledRule(
        rule,
        rule.name,
        compile_condition(rule.when, index.phrases) if rule.when is not None else None,
        frozenset(rule.on),
        (*writes, *sets),
        frozenset(kind for kind, _ in (*writes, *sets)),
        dict.fromkeys(rule.tags),
        dict.fromkeys(rule.skills),
        (*(("notify", each) for each in rule.notify), *(("webhook", each) for each in rule.webhook)),
        rule.stop,
        trace_of(rule, "fired", actions=tuple(_action(*each) for each in (*writes, *lists, *sets, *stop))),
        trace_of(rule, "after_stop"),
    )


def _action(kind: str, value: Any) -> ActionTrace:
    shortened = format_duration(value) if isinstance(value, timedelta) else value
    return ActionTrace(kind=kind, value=shown(shortened) if isinstance(shortened, str) else shortened)


def trace_of(rule: Rule, result: Any, **more: Any) -> RuleTrace:
    """The trace of one rule."""
    return RuleTrace(name=rule.name, order=rule.order, file=rule.file, line=rule.line, result=result, **more)
