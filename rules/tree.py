"""YAML as a tree that knows its lines.

Stricter than YAML 1.1: only `true` and `false` are booleans (`on:` and the language `no` stay words), `12:30` is no
number, dates stay texts, a key may stand only once, and aliases are refused, because a few of them can stand for
a billion nodes.
"""

import re
from itertools import pairwise
from typing import Any

import yaml

from rules.problems import Problem

MAX_CHARS = 16 * 1024 * 1024
MAX_DEPTH = 50
_ITEM = re.compile(r"^-(?=\s)", re.MULTILINE)
_SECTION = re.compile(r"^[A-Za-z_][\w-]*[ \t]*:(?=\s)", re.MULTILINE)


class YamlMap(dict[str, Any]):
    """A mapping; `lines` gives the line of each key."""

    line: int = 0
    lines: dict[str, int]
    incomplete: bool = False
    """Something in it could not be read, was reported, and is left out."""


class YamlList(list[Any]):
    """A sequence; `lines` gives the line of each item."""

    line: int = 0
    lines: list[int]
    incomplete: bool = False


def line_of(tree: Any, path: tuple[Any, ...]) -> int:
    """The line of the deepest part of the path that stands in the file; 0 if none does."""
    line = 0
    for part in path:
        in_map = isinstance(tree, YamlMap) and part in tree
        if in_map or (isinstance(tree, YamlList) and isinstance(part, int) and part < len(tree)):
            line, tree = tree.lines[part], tree[part]
        elif isinstance(tree, dict) and part in tree:
            tree = tree[part]
        else:
            break
    return line


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


def parse_yaml(text: str, file: str, *, first_line: int = 1) -> tuple[Any, list[Problem]]:
    """Text → tree of YamlMap, YamlList, str, int, float, bool and None, and what is wrong with it.

    What could be read is there, whatever else is wrong. `first_line`: where the text stands in the file."""
    if len(text) > MAX_CHARS:
        return None, [Problem(file, f"larger than {MAX_CHARS // 1024 // 1024} million characters")]
    loader = _Loader(text)
    try:
        # By events first: making nodes recurses in C, where some ten thousand brackets end the process.
        if (line := _too_deep(text)) is not None:
            return None, [Problem(f"{file}:{line - 1 + first_line}", f"nested deeper than {MAX_DEPTH} levels")]
        node = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{file}:{mark.line + first_line}" if mark else file
        return None, [Problem(place, f"not YAML: {error.problem or error.context}")]
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        return None, [Problem(file, f"not YAML: {str(error).splitlines()[0] if str(error) else type(error).__name__}")]
    finally:
        loader.dispose()
    builder = _Builder(file, first_line)
    tree = builder.build(node, 0) if node is not None else None
    return (None if tree is _UNREAD else tree), builder.problems


def parse_items(text: str, file: str) -> tuple[Any, list[Problem]]:
    """As `parse_yaml`, for a file that holds a list: an item that is no YAML hides none of the others."""
    tree, problems = parse_yaml(text, file)
    starts = [match.start() for match in _ITEM.finditer(text)]
    if tree is not None or not problems or len(starts) < 2 or len(text) > MAX_CHARS:
        return tree, problems
    whole, found, line = YamlList(), list[Problem](), 1 + text.count("\n", 0, starts[0])
    whole.line, whole.lines, whole.incomplete = line, [], True
    for start, end in pairwise([*starts, len(text)]):
        part, wrong = parse_yaml(text[start:end], file, first_line=line)
        found += wrong
        if isinstance(part, YamlList):
            whole += part
            whole.lines += part.lines
        line += text.count("\n", start, end)
    return whole, found or problems


def parse_sections(text: str, file: str) -> tuple[Any, list[Problem]]:
    """As `parse_yaml`, for a file that holds a mapping: a section that is no YAML hides none of the others, and stands
    in the mapping as one that is `unread`."""
    tree, problems = parse_yaml(text, file)
    starts = [*_SECTION.finditer(text)]
    if tree is not None or not problems or not starts or len(text) > MAX_CHARS:
        return tree, problems
    whole, found, line = YamlMap(), list[Problem](), 1 + text.count("\n", 0, starts[0].start())
    whole.line, whole.lines, whole.incomplete = line, {}, True
    for start, end in pairwise([*(match.start() for match in starts), len(text)]):
        part, wrong = parse_yaml(text[start:end], file, first_line=line)
        key = text[start:end].partition(":")[0].strip()
        found += wrong
        if not isinstance(part, YamlMap):
            part = YamlMap({key: _unread_section(line)})
            part.lines = {key: line}
        for name in part:
            if name in whole:
                hint = f"first in line {whole.lines[name]}"
                found.append(Problem(f"{file}:{part.lines[name]}", f"{name!r} stands here a second time", hint))
                continue
            whole[name], whole.lines[name] = part[name], part.lines[name]
        line += text.count("\n", start, end)
    return whole, found or problems


def unread(tree: Any) -> bool:
    """Whether it stands for what could not be read at all."""
    return isinstance(tree, YamlMap) and tree.incomplete and not tree


def _unread_section(line: int) -> YamlMap:
    section = YamlMap()
    section.line, section.lines, section.incomplete = line, {}, True
    return section


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


_UNREAD = object()
"""Stands for what cannot be read, until it is left out."""


class _Builder:
    def __init__(self, file: str, first_line: int) -> None:
        self.file = file
        self.first_line = first_line
        self.problems: list[Problem] = []
        self.seen: set[int] = set()

    def problem(self, node: yaml.Node, what: str, hint: str = "") -> None:
        self.problems.append(Problem(f"{self.file}:{self.line(node)}", what, hint))

    def line(self, node: yaml.Node) -> int:
        return int(node.start_mark.line) + self.first_line

    def build(self, node: yaml.Node, depth: int) -> Any:
        if id(node) in self.seen:
            self.problem(node, "YAML aliases (*name) are not supported", "write it out")
            return _UNREAD
        self.seen.add(id(node))
        if depth > MAX_DEPTH:
            self.problem(node, f"nested deeper than {MAX_DEPTH} levels")
            return _UNREAD
        match node:
            case yaml.MappingNode():
                return self.mapping(node, depth)
            case yaml.SequenceNode():
                return self.sequence(node, depth)
            case _:
                return self.scalar(node)

    def sequence(self, node: yaml.SequenceNode, depth: int) -> YamlList:
        result = YamlList()
        result.line, result.lines = self.line(node), []
        self.untagged(node, "seq")
        for item_node in node.value:
            item = self.build(item_node, depth + 1)
            result.incomplete |= item is _UNREAD or getattr(item, "incomplete", False)
            if item is not _UNREAD:
                result.append(item)
                result.lines.append(self.line(item_node))
        return result

    def mapping(self, node: yaml.MappingNode, depth: int) -> YamlMap:
        result = YamlMap()
        result.line, result.lines = self.line(node), {}
        self.untagged(node, "map")
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self.problem(key_node, "a key has to be a word")
                result.incomplete = True
                continue
            key = str(key_node.value)
            if key in result:
                self.problem(key_node, f"{key!r} stands here a second time", f"first in line {result.lines[key]}")
                continue
            value = self.build(value_node, depth + 1)
            result.incomplete |= value is _UNREAD or getattr(value, "incomplete", False)
            if value is not _UNREAD:
                result[key] = value
                result.lines[key] = self.line(key_node)
        return result

    def untagged(self, node: yaml.Node, kind: str) -> None:
        if node.tag != f"tag:yaml.org,2002:{kind}":
            self.problem(node, f"YAML tag {node.tag} is not supported")

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
                return str(node.value)
