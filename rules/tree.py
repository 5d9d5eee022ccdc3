"""YAML as a tree that knows its lines.

Stricter than YAML 1.1: only `true` and `false` are booleans (`on:` and the language `no` stay words), `12:30` is no
number, dates stay texts, a key may stand only once, and aliases are refused, because a few of them can stand for
a billion nodes.
"""

import re
from typing import Any

import yaml

from rules.problems import Problem

MAX_CHARS = 16 * 1024 * 1024
MAX_DEPTH = 50


class YamlMap(dict[str, Any]):
    """A mapping; `lines` gives the line of each key."""

    line: int = 0
    lines: dict[str, int]


class YamlList(list[Any]):
    """A sequence; `lines` gives the line of each item."""

    line: int = 0
    lines: list[int]


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Only composes nodes (on libyaml where it is there: ten times as fast); values are made below."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"true|false", "tf"),
    ("null", r"~|null|", "~n"),
    ("int", r"-?(?:0|[1-9][0-9]{0,17})", "-0123456789"),
    ("float", r"-?[0-9]{1,17}\.[0-9]{1,17}", "-0123456789"),
):
    _firsts = [*_first, ""] if _tag == "null" else [*_first]
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _firsts)


def parse_yaml(text: str, file: str) -> tuple[Any, list[Problem]]:
    """Text → tree of YamlMap, YamlList, str, int, float, bool and None, and what is wrong with it."""
    if len(text) > MAX_CHARS:
        return None, [Problem(file, f"larger than {MAX_CHARS // 1024 // 1024} million characters")]
    loader = _Loader(text)
    try:
        # By events first: making nodes recurses in C, where some ten thousand brackets end the process.
        if (line := _too_deep(text)) is not None:
            return None, [Problem(f"{file}:{line}", f"nested deeper than {MAX_DEPTH} levels")]
        node = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{file}:{mark.line + 1}" if mark else file
        return None, [Problem(place, f"not YAML: {error.problem or error.context}")]
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        return None, [Problem(file, f"not YAML: {str(error).splitlines()[0] if str(error) else type(error).__name__}")]
    finally:
        loader.dispose()
    builder = _Builder(file)
    return (builder.build(node, 0) if node is not None else None), builder.problems


def _too_deep(text: str) -> int | None:
    """The line at which it is nested too deeply, if it is."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH + 1:  # the last level may be empty
                return event.start_mark.line + 1 if event.start_mark else 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
    return None


class _Builder:
    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self.seen: set[int] = set()

    def problem(self, node: yaml.Node, what: str, hint: str = "") -> None:
        self.problems.append(Problem(f"{self.file}:{node.start_mark.line + 1}", what, hint))

    def build(self, node: yaml.Node, depth: int) -> Any:
        if id(node) in self.seen:
            self.problem(node, "YAML aliases (*name) are not supported", "write it out")
            return None
        self.seen.add(id(node))
        if depth > MAX_DEPTH:
            self.problem(node, f"nested deeper than {MAX_DEPTH} levels")
            return None
        match node:
            case yaml.MappingNode():
                return self.mapping(node, depth)
            case yaml.SequenceNode():
                result = YamlList(self.build(item, depth + 1) for item in node.value)
                result.line = node.start_mark.line + 1
                result.lines = [item.start_mark.line + 1 for item in node.value]
                return result
            case _:
                return self.scalar(node)

    def mapping(self, node: yaml.MappingNode, depth: int) -> YamlMap:
        result = YamlMap()
        result.line = node.start_mark.line + 1
        result.lines = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self.problem(key_node, "a key has to be a word")
                continue
            key = str(key_node.value)
            if key in result:
                self.problem(key_node, f"{key!r} stands here a second time", f"first in line {result.lines[key]}")
                continue
            result[key] = self.build(value_node, depth + 1)
            result.lines[key] = key_node.start_mark.line + 1
        return result

    def scalar(self, node: yaml.Node) -> Any:
        match node.tag.rpartition(":")[2]:
            case "bool":
                return node.value == "true"
            case "null":
                return None
            case "int":
                return int(node.value)
            case "float":
                return float(node.value)
            case "str":
                return str(node.value)
            case _:
                self.problem(node, f"YAML tag {node.tag} is not supported")
                return None
