"""What people write in rule files → conditions and rules, with every mistake and its line.

A `when` is a mapping whose parts all have to hold: `all`, `any`, `not`, or a field with its comparison:
`channel: email`, `channel: [email, chat]`, `subject: {contains: [order, Bestellung]}`, `attribute.plan: gold`,
`header: {name: List-Id, exists: true}`.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, get_args

from pydantic import ValidationError

from rules.fields import FIELDS, OPERATORS, Field
from rules.model import LISTS, All, AnyOf, Condition, Expression, Leaf, Not, Operator, Rule
from rules.problems import NAMELESS, Problem, did_you_mean, place_of
from rules.quantities import DAYS_BACK, MEASURES, problem_of
from rules.tree import YamlList, YamlMap, parse_items
from rules.typed import typed_problems
from rules.words import normal

MAX_DEPTH = 20
MAX_PARTS = 1000
"""Of one any or all: each is compared with each other to find what excludes itself."""
_MEANT = {"contains_any": "contains", "matches": "regex", "lt": "less_than", "lte": "at_most", "gt": "more_than",
          "gte": "at_least"}  # fmt: skip
"""Names for operators that people bring along, and what they are called here."""
_RULE_KEYS = tuple(name for name in Rule.model_fields if name not in ("file", "line", "lines"))
_GROUPS = ("all", "any", "not")
_UNREAD = Expression(cel="true")
"""Stands for what cannot be read: nothing is provable of an expression."""


class RulesRead(NamedTuple):
    """What a text of rules holds. `unsure`: the places of rules of which some part could not be read; what they say as
    a whole is not known."""

    rules: list[Rule]
    problems: list[Problem]
    unsure: frozenset[str]


def read_rules(text: str, file: str) -> RulesRead:
    """A file of rules. With any problem the policy is refused: the rules then only serve to find further mistakes."""
    tree, problems = parse_items(text, file)
    reader = Reader(file)
    rules = reader.rules(tree) if tree is not None or not problems else []
    return RulesRead(rules, [*problems, *reader.problems], frozenset(reader.unsure))


class Reader:
    """Reads one file's tree. `problems` and `unsure` (see `RulesRead`) grow."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self.unsure: set[str] = set()

    def problem(self, line: int, what: str, hint: str = "") -> None:
        self.problems.append(Problem(place_of(self.file, line), what, hint))

    # rules

    def rules(self, tree: Any) -> list[Rule]:
        """A file holds a list of rules; an empty one holds none."""
        if tree is None:
            return []
        if not isinstance(tree, list):
            self.problem(_line(tree) or 1, "a rule file holds a list of rules", "start each rule with '- name:'")
            return []
        lines = tree.lines if isinstance(tree, YamlList) else [0] * len(tree)
        found = (self.rule(item, line) for item, line in zip(tree, lines, strict=True))
        return [rule for rule in found if rule is not None]

    def rule(self, tree: Any, line: int) -> Rule | None:
        if not isinstance(tree, dict):
            self.problem(line, "a rule is a mapping", "such as '- name: vip'")
            return None
        before = len(self.problems)
        lines = dict(tree.lines) if isinstance(tree, YamlMap) else {}
        name = tree.get("name")
        label = f"rule {name}" if isinstance(name, str) else f"rule {NAMELESS}"
        for key in tree:
            if key not in _RULE_KEYS:
                self.problem(lines.get(key, line), f"{label}: unknown key {key!r}", did_you_mean(key, _RULE_KEYS))
        data = {key: _plain(key, tree[key]) for key in tree if key in _RULE_KEYS and key != "when"}
        if isinstance(data.get("on"), str):
            data["on"] = [data["on"]]
        if "on" not in data and data.get("answer") is not None:
            # Otherwise every message of a conversation would be answered with the same text.
            data["on"] = ["first"]
        for key in [key for key in tree if key in _RULE_KEYS and _empty(tree[key])]:
            hint = "leave it out where the rule is for everything" if key == "when" else "leave it out, or say what"
            self.problem(lines.get(key, line), f"{label}: {key} is empty", hint)
            data.pop(key, None)
        for key, what, hint in list(_blanks(data)):
            self.problem(lines.get(key, line), f"{label}: {what}", hint)
            data.pop(key, None)
        data |= {"file": self.file, "line": line, "lines": lines}
        if "name" in tree:
            data.setdefault("name", NAMELESS)
        if "when" in tree and not _empty(tree["when"]):
            data["when"] = self.condition(tree["when"], "when", lines.get("when", line), label, 0)
        try:
            rule = Rule(**data)
        except ValidationError as error:
            wrong = {str(one["loc"][0]) for one in error.errors(include_url=False)}
            self.problems += typed_problems(error, Rule, tree, file=self.file, line=line, label=label)
            # The rest has mistakes of its own.
            rest = {key: value for key, value in data.items() if key not in wrong}
            rule = Rule(**{"name": NAMELESS, **rest})
        if len(self.problems) > before or _incomplete(tree):
            self.unsure.add(place_of(self.file, line))
        return rule

    # conditions

    def condition(self, tree: Any, path: str, line: int, label: str, depth: int) -> Condition:
        if _empty(tree):
            self.problem(_line(tree) or line, f"{label}: {path}: a condition is empty", "such as {channel: email}")
            return _UNREAD
        if isinstance(tree, str):
            return Expression(cel=tree, path=path, line=line)
        if not isinstance(tree, dict):
            self.problem(
                _line(tree) or line,
                f"{label}: {path}: a condition is a mapping",
                "such as 'channel: email', or a CEL expression in quotes",
            )
            return _UNREAD
        if depth > MAX_DEPTH:
            self.problem(_line(tree) or line, f"{label}: conditions are nested deeper than {MAX_DEPTH} levels")
            return _UNREAD
        lines = tree.lines if isinstance(tree, YamlMap) else {}
        parts: list[Condition] = [_UNREAD] if _incomplete(tree) else []
        for key, value in tree.items():
            at = lines.get(key, line)
            if key in _GROUPS:
                parts.append(self.group(key, value, f"{path}.{key}", at, label, depth + 1))
            else:
                parts += self.comparison(key, value, f"{path}.{key}", at, label)
        return parts[0] if len(parts) == 1 else All(all=tuple(parts), path=path)

    def group(self, key: str, tree: Any, path: str, line: int, label: str, depth: int) -> Condition:
        if key == "not":
            return Not(negated=self.condition(tree, path, line, label, depth), path=path)
        if isinstance(tree, dict) and tree:
            self.problem(line, f"{label}: {path}: holds a list of conditions", "start each with '- '")
            return self.condition(tree, path, line, label, depth)
        if not isinstance(tree, list) or not (tree or _incomplete(tree)):
            self.problem(line, f"{label}: {path}: holds a list of conditions, at least one")
            return _UNREAD
        if len(tree) > MAX_PARTS:
            hint = "contains, in and domain take lists of values"
            self.problem(line, f"{label}: {path}: has more than {MAX_PARTS} conditions", hint)
            return _UNREAD
        lines = tree.lines if isinstance(tree, YamlList) else [line] * len(tree)
        parts = [
            self.condition(item, f"{path}[{number}]", at, label, depth)
            for number, (item, at) in enumerate(zip(tree, lines, strict=True))
        ]
        parts += [_UNREAD] if _incomplete(tree) else []
        return All(all=tuple(parts), path=path) if key == "all" else AnyOf(any=tuple(parts), path=path)

    def comparison(self, key: str, tree: Any, path: str, line: int, label: str) -> list[Condition]:
        field_name, _, name = key.partition(".")
        field = FIELDS.get(field_name)
        if field is None or (name and not field.named):
            known = [f"{f}.…" if spec.named and f != "header" else f for f, spec in FIELDS.items()]
            self.problem(line, f"{label}: {path}: unknown field {key!r}", did_you_mean(key, [*known, *_GROUPS]))
            return [_UNREAD]
        written = tree if isinstance(tree, dict) else _short_form(field, tree)
        if written is None:
            allowed = ", ".join(OPERATORS[field.kind])
            self.problem(line, f"{label}: {path}: say how {field_name} is compared", f"one of {allowed}: {{…}}")
            return [_UNREAD]
        options = dict(written)
        if field.named and not name.strip():
            called = _plain("name", options.pop("name", ""))
            name = called if isinstance(called, str) else ""
            if not name.strip():
                self.problem(line, f"{label}: {path}: {field_name} needs a name", f"{field_name}.NAME, or name: NAME")
                name = f"? {path}"
        if field_name == "contacts" and not name.startswith("?") and not re.fullmatch(DAYS_BACK, name):
            self.problem(line, f"{label}: {path}: contacts needs a number of days", "contacts.7, 1 to 30 days")
        match = options.pop("match", "word")
        lines = tree.lines if isinstance(tree, YamlMap) else {}
        if match not in ("word", "part"):
            self.problem(lines.get("match", line), f"{label}: {path}: match is word or part, not {match!r}")
            match = None
        elif "match" in written and options and not _matches(field, options):
            hint = "it is for contains and contains_all of texts"
            self.problem(lines.get("match", line), f"{label}: {path}: match says nothing here", hint)
        if not options and not _incomplete(tree):
            self.problem(line, f"{label}: {path}: has no operator", "one of " + ", ".join(OPERATORS[field.kind]))
        found: list[Condition] = []
        for operator, value in options.items():
            where = path if len(options) == 1 else f"{path}.{operator}"
            at = lines.get(operator, line)
            problems = list(_misfits(field_name, field, operator, value))
            for what, hint in problems:
                self.problem(at, f"{label}: {where}: {what}", hint)
            if problems or _incomplete(value) or (match is None and operator != "regex"):
                found.append(_UNREAD)
                continue
            value = _value(field, operator, value)
            found.append(
                Leaf(
                    field=field_name,
                    name=name,
                    operator=operator,
                    value=value,
                    match=match or "word",
                    path=where,
                    line=at,
                )
            )
        return found or [_UNREAD]


def _short_form(field: Field, value: Any) -> Mapping[str, Any] | None:
    """What `field: value` means without an operator; None where that would be a guess."""
    if field.kind == "text" and not field.named:
        return None
    if field.kind == "set":
        return {"contains": value}
    if field.kind == "clock":
        return {"between": value}
    return {"in": value} if isinstance(value, list) else {"equals": value}


def _misfits(name: str, field: Field, operator: str, value: Any) -> Iterator[tuple[str, str]]:
    """What is wrong with an operator and its values, each with a hint."""
    allowed = OPERATORS[field.kind]
    if operator not in allowed:
        if operator in get_args(Operator):
            yield f"{operator} does not fit {name}", f"one of {', '.join(allowed)}"
        else:
            meant = _MEANT.get(operator)
            hint = f"write {meant}" if meant else did_you_mean(operator, (*allowed, "match"))
            yield f"unknown operator {operator!r}", hint
    elif operator == "exists" or field.kind == "flag":
        if not isinstance(value, bool):
            yield f"{operator} takes true or false, not {value!r}", ""
    elif isinstance(value, list) and operator not in LISTS:
        yield f"{operator} takes one value, not a list", "in takes a list" if "in" in allowed else ""
    elif value == []:
        yield f"{operator} needs at least one value", ""
    else:
        for item in value if isinstance(value, list) else [value]:
            wrong = _misfit(name, field, operator, item)
            if wrong is not None:
                yield wrong


def _misfit(name: str, field: Field, operator: str, item: Any) -> tuple[str, str] | None:
    """What is wrong with one value."""
    measured = isinstance(item, float) and field.kind in MEASURES
    if isinstance(item, bool) or not (measured or isinstance(item, str | int)):
        return f"{operator} takes texts, not {item!r}", "put it in quotes"
    if not (str(item) if operator == "regex" else normal(str(item))):
        hint = "use exists: false for an empty field" if "exists" in OPERATORS[field.kind] else ""
        return f"{operator} has an empty text", hint
    if name == "sender_domain" and not {"*", "@"}.isdisjoint(str(item)):
        domain = str(item).rpartition("@")[2]
        return f"sender_domain is never {item!r}", f"write {domain}; sender: {{domain: …}} knows wildcards"
    if field.values and operator in ("equals", "in") and _known(field, item) is None:
        return f"{name} is never {item!r}", did_you_mean(str(item), field.values)
    wrong = problem_of(operator, field.kind, str(item))
    return (f"{operator}: {wrong}", "") if wrong else None


def _known(field: Field, written: Any) -> str | None:
    """The field's own value that is meant: case does not count."""
    return next((value for value in field.values if value.lower() == str(written).lower()), None)


def _matches(field: Field, operators: Mapping[str, Any]) -> bool:
    """Whether `match` means something to one of these, or may: one that nobody knows is told by itself."""
    unknown = [each for each in operators if each not in OPERATORS[field.kind]]
    return bool(unknown) or (field.kind != "set" and not operators.keys().isdisjoint(("contains", "contains_all")))


def _value(field: Field, operator: str, value: Any) -> bool | str | tuple[str, ...]:
    if isinstance(value, bool):
        return value
    texts = tuple(str(item) for item in (value if isinstance(value, list) else [value]))
    if field.values and operator in ("equals", "in"):
        texts = tuple(_known(field, text) or text for text in texts)
    return texts if operator in LISTS else texts[0]


_NO_TEXTS = ("order", "stop", "affinity")


def _plain(key: str, value: Any) -> Any:
    """Whole numbers that people write where a text is meant (`set: {plan: 7}`) stay what was written."""
    if key in _NO_TEXTS:
        return value
    if isinstance(value, dict):
        return {name: _plain(key, item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(key, item) for item in value]
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _empty(value: Any) -> bool:
    """Nothing is said: a key that was begun and not filled in."""
    if isinstance(value, str):
        return not normal(value)
    return value is None or (isinstance(value, dict | list) and not value and not _incomplete(value))


def _blanks(data: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Of a rule's lists and attributes: (key, what says nothing, hint)."""
    for key, value in data.items():
        if isinstance(value, list) and any(map(_empty, value)):
            yield key, f"{key} has an empty text", "leave it out"
    on, attributes = data.get("on"), data.get("set")
    if isinstance(on, list) and all(isinstance(each, str) for each in on) and len(set(on)) < len(on):
        yield "on", "on names an occasion twice", "once is enough"
    for name, text in attributes.items() if isinstance(attributes, dict) else ():
        prefix, dot, rest = name.partition(".")
        if _empty(name) or _empty(text):
            yield "set", f"set.{name} is empty", "set: {name: text}"
        elif dot and prefix in ("attribute", "attributes"):
            yield "set", f"set writes attributes: {name!r} would be attribute.{name}", f"write {rest or 'its name'}"


def _line(tree: Any) -> int:
    return tree.line if isinstance(tree, YamlMap | YamlList) else 0


def _incomplete(tree: Any) -> bool:
    return isinstance(tree, YamlMap | YamlList) and tree.incomplete
