"""Environment and command line, written over the configuration file's tree before anything is checked."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from rules.problems import Problem, did_you_mean
from rules.tree import YamlMap, parse_yaml

PREFIX = "SWITCHBOARD_"


def overlay(
    tree: YamlMap,
    environment: Mapping[str, str],
    overrides: Mapping[str, str],
    sections: Collection[str],
    problems: list[str],
) -> dict[str, str]:
    """Write `SWITCHBOARD_A__B` (and `SWITCHBOARD_A__B_FILE`) and dotted `overrides` into `tree`.

    Variables of other programs that merely share the prefix are left alone: they name no section and have no `__`.
    Returns where each overridden key came from.
    """
    places: dict[str, str] = {}
    files: dict[str, str] = {}
    values: dict[str, Any] = {}
    for variable, value in sorted(environment.items()):
        key = variable.removeprefix(PREFIX).lower().replace("__", ".")
        if not variable.startswith(PREFIX):
            continue
        section, dot, rest = key.partition(".")
        if section.removesuffix("_file") not in sections:
            if dot and rest:
                hint = did_you_mean(section, sections)
                problems.append(str(Problem(variable, f"unknown section {section!r}", hint)))
            continue
        if key.endswith("_file"):
            key = key.removesuffix("_file")
            try:
                files[key] = Path(value).read_text(encoding="utf-8").rstrip("\n")
            except (OSError, UnicodeDecodeError) as error:
                problems.append(f"{variable}: cannot read {value}: {error}")
        else:
            values[key] = _scalar(value)
        places.setdefault(key, variable)
    for key, value in {**files, **values}.items():
        _set(tree, key.split("."), value)
    for key, value in overrides.items():
        _set(tree, key.split("."), _scalar(value))
        places[key] = f"--{key}"
    return places


def _scalar(text: str) -> Any:
    """A value from outside the file, read as it would be in the file."""
    value, problems = parse_yaml(text, "environment")
    return text if problems else value


def _set(tree: dict[str, Any], path: list[str], value: Any) -> None:
    for part in path[:-1]:
        child = tree.get(part)
        if not isinstance(child, dict):
            child = tree[part] = YamlMap()
            child.lines = {}
            getattr(tree, "lines", {}).setdefault(part, 0)
        tree = child
    tree[path[-1]] = value
    getattr(tree, "lines", {}).setdefault(path[-1], 0)
