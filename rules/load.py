"""The only file here that reads the disk: a folder of rules and templates, and the policy sections → PolicySource."""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from typing import Any

from pydantic import Field, TypeAdapter, ValidationError

from rules.cases import Placed, read_cases
from rules.check import check
from rules.conditions import leaves_of
from rules.model import (
    Agreement,
    AutoAnswer,
    BusinessHours,
    Conversations,
    Modifiers,
    PolicySource,
    PriorityTable,
    Queue,
    Rule,
    TableCondition,
    TableRow,
    TemplateText,
)
from rules.parse import read_rules
from rules.problems import Problem, did_you_mean, in_order, place_of
from rules.tree import MAX_CHARS, YamlList, YamlMap, line_of, parse_sections, unread
from schemas.base import Config
from schemas.errors import ConfigError

_TEMPLATE = re.compile(
    r"(?P<name>[A-Za-z0-9_-]+)(?:\.(?P<language>[a-z]{2,3}(?:-[a-z0-9]{2,8})?))?\.(?P<kind>txt|html)"
)
_MODELS = (
    Agreement,
    AutoAnswer,
    BusinessHours,
    Conversations,
    Modifiers,
    PriorityTable,
    Queue,
    TableCondition,
    TableRow,
)
_KEYS = sorted({key for model in _MODELS for key in model.model_fields})


class Folders(Config):
    """Where rules and templates lie, relative to the configuration file."""

    path: str = Field(default="rules/", min_length=1)
    templates: str = Field(default="templates/", min_length=1)


_SECTIONS: dict[str, TypeAdapter[Any]] = {
    "rules": TypeAdapter(Folders),
    "company": TypeAdapter(str),
    "business_hours": TypeAdapter(dict[str, BusinessHours]),
    "priority": TypeAdapter(PriorityTable),
    "queues": TypeAdapter(dict[str, Queue]),
    "default_queue": TypeAdapter(str),
    "auto_answer": TypeAdapter(AutoAnswer),
    "conversations": TypeAdapter(Conversations),
}

_WHEN_WRONG: dict[str, dict[str, Any]] = {
    "queues": {},
    "business_hours": {"timezone": "UTC", "hours": {"mon-sun": "00:00-24:00"}},
}
"""What stands for a queue or a calendar that cannot be read: others may name it."""

SECTIONS = tuple(_SECTIONS)
"""The parts of the configuration file that are policy."""


def read_tree(path: Path, name: str) -> tuple[Any, list[Problem]]:
    """A YAML file → tree with lines (`rules.tree`), as far as it can be read, and every mistake of form."""
    problems: list[Problem] = []
    text = _read(path, name, problems)
    tree, found = parse_sections(text, name) if text is not None else (None, [])
    return tree, [*problems, *found]


def read_yaml(path: Path, name: str) -> Any:
    """As `read_tree`. Raises ConfigError with every mistake of form."""
    tree, problems = read_tree(path, name)
    if problems:
        raise ConfigError([str(problem) for problem in problems])
    return tree


def load_policy(
    config_dir: Path, sections: Mapping[str, Any], *, file: str = "switchboard.yaml", found: Iterable[Problem] = ()
) -> PolicySource:
    """Build the policy from its sections (as `read_tree` gives them) and the folders that they name.

    `found`: mistakes of form in the sections' file. Raises ConfigError with every mistake in all files, each as
    `file:line: what (hint)`.
    """
    problems = list(found)
    values = dict(_sections(sections, file, problems))
    folders: Folders = values.pop("rules", Folders())
    named = isinstance(sections.get("rules"), dict)
    rules, unsure = _rules(config_dir, folders.path, problems, required=named)
    templates = _templates(config_dir, folders.templates, problems, required=named and "templates" in sections["rules"])
    if "default_queue" in sections and "default_queue" not in values:
        values["default_queue"] = next(iter(values.get("queues", {})), "general")
    places = dict(_places(sections, file))
    _suppose(values, rules, sections)
    source = PolicySource(rules=tuple(rules), templates=templates, places=places, **values)
    problems += check(source, unsure)
    if problems:
        raise ConfigError(in_order(map(str, problems)), hint="the policy was not loaded")
    return source


def _suppose(values: dict[str, Any], rules: list[Rule], sections: Mapping[str, Any]) -> None:
    """Queues and calendars are there if others name them, where the section that would say so could not be read wholly:
    nobody is told of a queue that does not exist because of a quote that was never closed."""

    def cut(key: str) -> bool:
        return isinstance(tree := sections.get(key), YamlMap) and tree.incomplete

    if cut("queues"):
        leaves = [leaf for rule in rules if rule.when is not None for leaf in leaves_of(rule.when)]
        named = {rule.queue for rule in rules if rule.queue is not None}
        named |= {
            text
            for leaf in leaves
            if leaf.field == "queue" and leaf.operator in ("equals", "in")
            for text in leaf.texts
        }
        named |= {values.get("default_queue", "general")}
        values["queues"] = {name: Queue() for name in sorted(named)} | values.get("queues", {})
    if cut("business_hours"):
        named = {
            queue.business_hours for queue in values.get("queues", {}).values() if queue.business_hours is not None
        }
        always = BusinessHours.model_validate(_WHEN_WRONG["business_hours"])
        values["business_hours"] = dict.fromkeys(sorted(named), always) | values.get("business_hours", {})


def load_cases(files: Iterable[tuple[Path, str]]) -> list[Placed]:
    """The behaviour cases of files, each with the name that people know it by. Raises ConfigError with every mistake in
    any of them."""
    cases: list[Placed] = []
    problems: list[Problem] = []
    for path, name in files:
        text = _read(path, name, problems)
        if text is not None:
            found, wrong = read_cases(text, name)
            cases += found
            problems += wrong
    if problems:
        raise ConfigError(in_order(map(str, problems)), hint="no case was run")
    return cases


def _sections(sections: Mapping[str, Any], file: str, problems: list[Problem]) -> Iterator[tuple[str, Any]]:
    for key, tree in sections.items():
        adapter = _SECTIONS.get(key)
        if adapter is None:
            problems.append(
                Problem(
                    place_of(file, line_of(sections, (key,))), f"unknown section {key!r}", did_you_mean(key, SECTIONS)
                )
            )
            continue
        if tree is None or unread(tree):
            continue
        try:
            yield key, adapter.validate_python(tree)
        except ValidationError as error:
            found = error.errors(include_url=False)
            problems += [_translated(one["type"], one["msg"], (key, *one["loc"]), sections, file) for one in found]
            yield from _rest(key, tree, [one["loc"] for one in found], adapter)


def _rest(
    key: str, tree: Any, wrong: Iterable[tuple[Any, ...]], adapter: TypeAdapter[Any]
) -> Iterator[tuple[str, Any]]:
    """What a section says besides its mistakes, so that nobody is told that a queue does not exist which only has a
    wrong setting."""
    rest = deepcopy(tree)
    for path in wrong:
        inner = rest
        for part in path[:-1]:
            inner = inner.get(part) if isinstance(inner, dict) else None
        if isinstance(inner, dict) and path:
            inner.pop(path[-1], None)
    if isinstance(rest, dict) and key in _WHEN_WRONG:
        rest = dict.fromkeys(tree, _WHEN_WRONG[key]) | rest
    with suppress(ValidationError):
        yield key, adapter.validate_python(rest)


def _translated(kind: str, message: str, path: tuple[Any, ...], tree: Any, file: str) -> Problem:
    place = place_of(file, line_of(tree, path))
    where = ".".join(str(part) for part in path if str(part) != "[key]")
    if kind == "extra_forbidden":
        return Problem(
            place,
            f"{where}: unknown key",
            did_you_mean(str(path[-1]), _KEYS),
        )
    return Problem(place, f"{where}: {message.removeprefix('Value error, ')}")


def _places(sections: Mapping[str, Any], file: str) -> Iterator[tuple[str, str]]:
    def walk(tree: Any, path: str) -> Iterator[tuple[str, str]]:
        if isinstance(tree, YamlMap):
            children = [(str(key), value, tree.lines[key]) for key, value in tree.items()]
        elif isinstance(tree, YamlList):
            children = [(str(number), value, tree.lines[number]) for number, value in enumerate(tree)]
        else:
            return
        for key, value, line in children:
            yield f"{path}{key}", f"{file}:{line}"
            yield from walk(value, f"{path}{key}.")

    for key, tree in sections.items():
        if key in _SECTIONS:
            yield key, place_of(file, line_of(sections, (key,)))
            yield from walk(tree, f"{key}.")


def _read(path: Path, name: str, problems: list[Problem]) -> str | None:
    try:
        if path.stat().st_size > MAX_CHARS:
            problems.append(Problem(name, f"larger than {MAX_CHARS // 1024 // 1024} MiB"))
            return None
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        problems.append(Problem(name, f"not UTF-8 at byte {error.start}"))
    except OSError as error:
        problems.append(Problem(name, f"cannot be read: {error.strerror or error}"))
    return None


def _files(folder: Path, written: str, problems: list[Problem]) -> list[Path]:
    """What a person has put there. What cannot be read is told: a gate that is not there holds nobody up."""
    found = []
    for path in sorted(each for each in folder.iterdir() if not each.name.startswith((".", "README"))):
        name = f"{written.rstrip('/')}/{path.name}"
        if path.is_file():
            found.append(path)
        elif path.is_dir():
            if any(each.suffix in (".yaml", ".yml", ".txt", ".html") for each in path.iterdir()):
                problems.append(Problem(name, "is a folder: what is in it would not be read", "move its files up"))
        elif path.is_symlink():
            problems.append(Problem(name, "leads nowhere", f"the link names {str(path.readlink())!r}"))
        else:
            problems.append(Problem(name, "is no file"))
    return found


def _rules(
    config_dir: Path, written: str, problems: list[Problem], *, required: bool
) -> tuple[list[Rule], frozenset[str]]:
    """The rules, and the places of those that could not be read wholly."""
    path = config_dir / written
    if path.is_dir():
        # Behaviour cases may lie beside the rules.
        kept = [
            item for item in _files(path, written, problems) if not item.name.endswith((".cases.yaml", ".cases.yml"))
        ]
        files = [(item, f"{written.rstrip('/')}/{item.name}") for item in kept]
    elif path.is_file():
        files = [(path, written)]
    else:
        if required:
            problems.append(Problem(written, "there is no such file or folder for rules"))
        return [], frozenset()
    rules, unsure = list[Rule](), set[str]()
    for item, name in files:
        if item.suffix not in (".yaml", ".yml"):
            problems.append(Problem(name, "is no rule file", "rule files end in .yaml"))
            continue
        text = _read(item, name, problems)
        if text is not None:
            read = read_rules(text, name)
            rules += read.rules
            problems += read.problems
            unsure |= read.unsure
    return rules, frozenset(unsure)


def _templates(
    config_dir: Path, written: str, problems: list[Problem], *, required: bool
) -> dict[str, dict[str, TemplateText]]:
    folder = config_dir / written
    if not folder.is_dir():
        if required:
            problems.append(Problem(written, "there is no such folder for templates"))
        return {}
    texts: dict[tuple[str, str], tuple[str, str, str]] = {}
    html: dict[tuple[str, str], tuple[str, str]] = {}
    unread: list[tuple[str, str]] = []
    for path in _files(folder, written, problems):
        name = f"{written.rstrip('/')}/{path.name}"
        match = _TEMPLATE.fullmatch(path.name)
        if match is None:
            problems.append(
                Problem(name, "is no template", "templates are called NAME.txt, NAME.de.txt or NAME.de.html")
            )
            continue
        key = (match["name"], match["language"] or "")
        content = _read(path, name, problems)
        if content is None:
            unread.append(key)
            continue
        if match["kind"] == "html":
            html[key] = (name, content)
            continue
        subject, text = _split(content)
        if subject is None:
            problems.append(
                Problem(f"{name}:1", "a template begins with its subject", "write 'Subject: …' and an empty line")
            )
            unread.append(key)
        else:
            texts[key] = (name, subject, text)
    for key, (name, _) in html.items():
        if key not in texts:
            problems.append(Problem(name, "has no .txt beside it", "not every mail reader shows HTML"))
            unread.append(key)
    result: dict[str, dict[str, TemplateText]] = {}
    for template, language in unread:  # it is there all the same
        result.setdefault(template, {})[language] = TemplateText(text="")
    for (template, language), (name, subject, text) in texts.items():
        page = html.get((template, language))
        result.setdefault(template, {})[language] = TemplateText(
            subject=subject, text=text, html=page[1] if page else None, file=name
        )
    return result


def _split(content: str) -> tuple[str | None, str]:
    head, _, rest = content.replace("\r\n", "\n").partition("\n")
    if not head.lower().startswith("subject:") or (rest and not rest.startswith("\n")):
        return None, ""
    return head[len("subject:") :].strip(), rest[1:]
