"""A policy made ready to decide: compiled once, never changed, swapped as a whole."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from rules.calendar import ALWAYS, Calendar, compile_calendar
from rules.compile import CompiledRules, compile_rules
from rules.index import Index
from rules.model import DEFAULT_CALENDAR, PolicySource
from rules.signals import Signals
from rules.templates import Template, compile_template
from schemas.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Policy:
    """All that a decision needs besides the interaction and its facts."""

    source: PolicySource
    version: str
    rules: CompiledRules
    templates: Mapping[str, Template]
    calendars: Mapping[str, Calendar]
    signals: Signals
    known: dict[tuple[object, ...], Any] = field(default_factory=dict, compare=False, repr=False)
    """What the priority table says for signals that came before (see `rules.priority`)."""

    def calendar_of(self, queue: str | None) -> Calendar:
        """The queue's own calendar, else `default`, else always open. Any name is accepted."""
        known = self.source.queues.get(queue) if queue is not None else None
        if known is not None and known.business_hours is not None:
            return self.calendars[known.business_hours]
        return self.calendars.get(DEFAULT_CALENDAR, ALWAYS)


def compile_policy(source: PolicySource) -> Policy:
    """Of a policy that was checked when it was read (`rules.load`). Nothing is checked again: what was once decided by
    must stay usable, though the checks have become stricter since. Raises ConfigError where that is impossible: such a
    policy must not become the active one."""
    try:
        return _compiled(source)
    except (ValueError, RecursionError, MemoryError) as error:
        problem = f"the policy cannot be made ready to decide: {type(error).__name__}: {error}"
        raise ConfigError([problem], hint="nothing was changed: the policy is refused") from error


def _compiled(source: PolicySource) -> Policy:
    index = Index()
    signals = Signals(source.priority, index.phrases)
    return Policy(
        source=source,
        version=source.version,
        rules=compile_rules(source.rules, index),
        templates=MappingProxyType({name: compile_template(name, texts) for name, texts in source.templates.items()}),
        calendars=MappingProxyType(
            {name: compile_calendar(hours, name) for name, hours in source.business_hours.items()}
        ),
        signals=signals,
    )
