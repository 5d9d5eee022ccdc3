"""Everything wrong with a policy that only shows when its parts are seen together. Never a false alarm."""

from collections.abc import Iterable, Iterator, Mapping, Set

from rules.calendar import compile_calendar
from rules.check_priority import problems_of_priority
from rules.conditions import leaves_of
from rules.expression import mistakes_in
from rules.expression_types import type_mistakes_in
from rules.fields import FIELDS, OPERATORS
from rules.model import All, AnyOf, Condition, Expression, Leaf, Not, PolicySource, Rule
from rules.operators import compile_regex
from rules.problems import NAMELESS, Problem, did_you_mean, nearest_place, place_of
from rules.shadows import contradiction, dead_parts, shadowed, stops
from rules.templates import default_language, problems_of

MAX_PHRASES = 50_000
"""Of a policy. An index of more takes many seconds to make where they are much alike."""
_ACTIONS = ("answer", "queue", "tier", "target", "tags", "skills", "set", "hold", "close", "affinity",
            "notify", "webhook", "stop")  # fmt: skip


def check(source: PolicySource, unsure: Set[str] = frozenset()) -> list[Problem]:
    """All problems, in the order of files and lines where these are known.

    `unsure`: places of rules that could not be read wholly (see `rules.parse`). Nothing is said of what they do or
    don't do as a whole: that would only repeat the mistakes."""
    misread = {*unsure}
    of_rules = [*_rules(source, unsure, misread)]
    rules = [rule for rule in sorted(source.rules, key=lambda r: (r.order, r.name)) if _at(rule) not in misread]
    found = [
        *_calendars(source),
        *_queues(source),
        *problems_of_priority(source),
        *_templates(source),
        *of_rules,
        *_unreachable(rules),
        *_impossible(source.rules),
        *_taken(rules),
    ]
    return sorted(set(found), key=_by_place)


def _by_place(problem: Problem) -> tuple[str, int, str]:
    """To sort problems by file, then line."""
    file, _, line = problem.place.rpartition(":")
    return (file, int(line), problem.what) if line.isdigit() else (problem.place, 0, problem.what)


def _place(source: PolicySource, *path: str) -> str:
    return nearest_place(source.places, *path)


def _calendars(source: PolicySource) -> Iterator[Problem]:
    for name, hours in source.business_hours.items():
        try:
            compile_calendar(hours)
        except ValueError as error:
            yield Problem(_place(source, "business_hours", name), f"business hours {name}: {error}")


def _queues(source: PolicySource) -> Iterator[Problem]:
    for name, queue in source.queues.items():
        if queue.business_hours is not None and queue.business_hours not in source.business_hours:
            yield Problem(
                _place(source, "queues", name, "business_hours"),
                f"queue {name}: unknown business hours {queue.business_hours!r}",
                did_you_mean(queue.business_hours, source.business_hours),
            )
        if queue.overflow_to is not None:
            place = _place(source, "queues", name, "overflow_to")
            if queue.overflow_to == name:
                yield Problem(place, f"queue {name} overflows into itself")
            elif queue.overflow_to not in source.queues:
                hint = did_you_mean(queue.overflow_to, source.queues)
                yield Problem(place, f"queue {name}: overflows into unknown queue {queue.overflow_to!r}", hint)
    if source.default_queue not in source.queues:
        yield Problem(
            _place(source, "default_queue"),
            f"default_queue {source.default_queue!r} is not among the queues",
            did_you_mean(source.default_queue, source.queues),
        )


def _templates(source: PolicySource) -> Iterator[Problem]:
    for name, texts in source.templates.items():
        if default_language(texts) is None:
            file = next((text.file for text in texts.values() if text.file), f"template {name}")
            yield Problem(file, f"template {name} has no default language", f"add {name}.txt or {name}.en.txt")
        for language, text in texts.items():
            label = f"{name}.{language}" if language else name
            for place, what, hint in problems_of(text):
                yield Problem(place or f"template {label}", f"template {label}: {what}", hint)


def _at(rule: Rule, line: int = 0) -> str:
    return place_of(rule.file or f"rule {rule.name}", line or rule.line)


def _rules(source: PolicySource, unsure: Set[str], misread: set[str]) -> Iterator[Problem]:
    """`misread` grows by the places of rules whose conditions cannot be understood."""
    first: dict[str, Rule] = {}
    phrases = 0
    for rule in source.rules:
        place = _at(rule)
        before, phrases = phrases, phrases + _phrases(rule)
        if before <= MAX_PHRASES < phrases:
            hint = "one regex, or a list for each field, may do for many"
            yield Problem(place, f"rule {rule.name}: the rules look for more than {MAX_PHRASES} phrases by now", hint)
        other = first.setdefault(rule.name, rule)
        if other is not rule and rule.name != NAMELESS:
            yield Problem(place, f"rule {rule.name}: the name is taken", f"by {place_of(other.file, other.line)}")
        if place not in unsure and rule.affinity is None and all(not getattr(rule, action) for action in _ACTIONS):
            yield Problem(place, f"rule {rule.name} does nothing", "give it one of " + ", ".join(_ACTIONS))
        if not rule.on:
            yield Problem(place, f"rule {rule.name}: on names no occasion, so it would never fire")
        yield from _name(rule, "queue", rule.queue, source.queues)
        yield from _name(rule, "answer", rule.answer, source.templates, "template")
        if rule.when is not None:
            for problem in _conditions(rule, rule.when, source):
                misread.add(place)
                yield problem


def _phrases(rule: Rule) -> int:
    return sum(len(leaf.texts) for leaf in _leaves(rule) if leaf.operator in ("contains", "contains_all"))


def _name(rule: Rule, key: str, value: str | None, known: Mapping[str, object], kind: str = "") -> Iterator[Problem]:
    if value is not None and value not in known:
        place = _at(rule, rule.lines.get(key, 0))
        yield Problem(place, f"rule {rule.name}: unknown {kind or key} {value!r}", did_you_mean(value, known))


def _conditions(rule: Rule, when: Condition, source: PolicySource) -> Iterator[Problem]:
    for group in _groups(when):
        if isinstance(group, Expression):
            for what, hint in mistakes_in(group.cel) or type_mistakes_in(group.cel, source.queues):
                yield Problem(_at(rule, group.line), f"rule {rule.name}: {group.path}: bad expression: {what}", hint)
        if isinstance(group, AnyOf) and not group.any:
            yield Problem(_at(rule), f"rule {rule.name}: {group.path}: holds no condition")
    for leaf in leaves_of(when):
        place = _at(rule, leaf.line)
        label = f"rule {rule.name}: {leaf.path}"
        field = FIELDS.get(leaf.field)
        if field is None:
            yield Problem(place, f"{label}: unknown field {leaf.field!r}", did_you_mean(leaf.field, FIELDS))
        elif leaf.operator not in OPERATORS[field.kind]:
            yield Problem(place, f"{label}: {leaf.operator} does not fit {leaf.field}")
        elif leaf.operator == "regex":
            try:
                compile_regex(str(leaf.value))
            except ValueError as error:
                hint = "RE2 has no look-around and no back-references"
                yield Problem(place, f"{label}: bad regex {str(leaf.value)[:60]!r}: {error}", hint)
        elif leaf.field == "queue" and leaf.operator in ("equals", "in"):
            for queue in leaf.texts:
                if queue not in source.queues:
                    yield Problem(place, f"{label}: unknown queue {queue!r}", did_you_mean(queue, source.queues))


def _groups(condition: Condition) -> Iterator[Condition]:
    yield condition
    match condition:
        case All(all=parts) | AnyOf(any=parts):
            for part in parts:
                yield from _groups(part)
        case Not(negated=part):
            yield from _groups(part)
        case Leaf() | Expression():
            pass


def _unreachable(rules: Iterable[Rule]) -> Iterator[Problem]:
    """Rules behind one that always stops. A rule that holds or closes does not count: once released, it lets go."""
    stopped: dict[str, Rule] = {}
    for rule in rules:
        if rule.on and all(occasion in stopped for occasion in rule.on):
            by = stopped[rule.on[0]]
            yield Problem(_at(rule), f"rule {rule.name} is never reached", f"rule {by.name} always stops before it")
        always = rule.when is None or (isinstance(rule.when, All) and not rule.when.all)
        if always and stops(rule):
            for occasion in rule.on:
                stopped.setdefault(occasion, rule)


def _impossible(rules: Iterable[Rule]) -> Iterator[Problem]:
    """Rules, and parts of `any`, whose conditions exclude each other."""
    for rule in rules:
        if not all(
            leaf.field in FIELDS and leaf.operator in OPERATORS[FIELDS[leaf.field].kind] for leaf in _leaves(rule)
        ):
            continue
        field = contradiction(rule.when)
        if field is not None:
            yield Problem(_at(rule), f"rule {rule.name} never fires", f"{field}: its conditions exclude each other")
            continue
        # A rule runs on its occasions only, whether it names them or not.
        on = Leaf(field="occasion", operator="in", value=rule.on)
        if rule.on and rule.when is not None and contradiction(All(all=(on, rule.when))) is not None:
            yield Problem(_at(rule), f"rule {rule.name} never fires", _runs_on(rule))
            continue
        for path, field in dead_parts(rule.when):
            what = f"rule {rule.name}: {path} never holds"
            yield Problem(_at(rule), what, f"{field}: its conditions exclude each other")
        for path, _ in dead_parts(rule.when, on) if rule.on else ():
            yield Problem(_at(rule), f"rule {rule.name}: {path} never holds", _runs_on(rule))


def _runs_on(rule: Rule) -> str:
    by_itself = "" if "on" in rule.lines or rule.answer is None else ", as one with an answer does unless it says on"
    return f"it runs on {', '.join(rule.on)} only{by_itself}"


def _taken(rules: Iterable[Rule]) -> Iterator[Problem]:
    """Rules that an earlier one always stops before."""
    for rule, by in shadowed(rules):
        hint = f"wherever it holds, rule {by.name} stops before it"
        yield Problem(_at(rule), f"rule {rule.name} is shadowed", hint)


def _leaves(rule: Rule) -> list[Leaf]:
    return leaves_of(rule.when) if rule.when is not None else []
