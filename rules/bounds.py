"""What an expression may cost, judged by its text: CEL itself cannot be stopped once it runs.

Loops inside of loops take the product of their lengths, and what makes a value longer, done again and again, doubles
it. The library shows no tree, so the text is read here, and strictly: whatever this does not read as CEL does (raw and
triple-quoted texts, comments, quoted names) is refused, so that nothing can hide from it.
"""

import re
from dataclasses import dataclass, field

LOOPS = frozenset(("all", "exists", "exists_one", "existsOne", "map", "filter"))
"""CEL's macros over lists and maps: they name a variable first."""
LOOPING_CHARS = 1024
"""Of an expression with a loop: what stands in it is done for each of a list."""
JOINS = 8
LISTED = 256
"""How many values of one field an expression sees."""

_TOKEN = re.compile(
    r"""
    \s+
  | (?P<text>  "(?:\\(?:[abfnrtv?"'`\\]|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-3][0-7]{2})|[^"\\\r\n])*"
            |  '(?:\\(?:[abfnrtv?"'`\\]|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-3][0-7]{2})|[^'\\\r\n])*')
       (?!["'])
  | (?P<number>0[xX][0-9a-fA-F]+[uU]?|(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[uU]?)
  | (?P<name>[A-Za-z_][A-Za-z0-9_]*+)(?!["'])
  | (?P<sign>[=!<>]=|&&|\|\||[-+*%<>!?:.,()\[\]{}]|/(?!/))
    """,
    re.VERBOSE,
)


@dataclass(slots=True)
class Read:
    """What was read of an expression. `mistakes`: each with a hint."""

    calls: set[str] = field(default_factory=set)
    bound: set[str] = field(default_factory=set)
    """The variables of its loops."""
    mistakes: list[tuple[str, str]] = field(default_factory=list)


def read(source: str) -> Read:
    """Never raises."""
    tokens, rest = signs(source)
    found = Read()
    if rest:
        found.mistakes.append(
            (
                f"cannot be read from {rest[:20]!r} on",
                "texts are written \"so\" or 'so', without prefix; comments belong into the YAML, after #",
            )
        )
        return found
    open_: list[str] = []
    """The loops that are open, "" for other parentheses."""
    loops: list[str] = []
    joins = nested = joined = listed = 0
    for before, sign, after in zip(["", *tokens], tokens, [*tokens[1:], ""], strict=False):
        if sign == "(":
            loop = before if before in LOOPS else ""
            if loop:
                nested += any(open_)
                loops.append(loop)
                found.bound.add(after)
            elif before.isidentifier():
                found.calls.add(before)
            open_.append(loop)
        elif sign == ")" and open_:
            open_.pop()
        elif sign == "+":
            joins += 1
            joined += any(open_)
        elif sign in "[{":
            listed += "map" in open_ and not (before.isidentifier() or before in ("]", ")"))
    if nested:
        found.mistakes.append(("all, exists, map and filter cannot stand inside one another", "that can take for ever"))
    if joined:
        found.mistakes.append(("+ cannot stand inside all, exists, map or filter", "what it joins can fill the memory"))
    if listed:
        found.mistakes.append(("a list or map cannot be made inside map", "what it holds can fill the memory"))
    if loops.count("map") > 1:
        found.mistakes.append(("map can be used once in an expression", "each one can double what there is"))
    if joins > JOINS:
        found.mistakes.append((f"more than {JOINS} times +", "what it joins can fill the memory"))
    if loops and len(source) > LOOPING_CHARS:
        found.mistakes.append((f"longer than {LOOPING_CHARS} characters with all, exists, map or filter in it", ""))
    return found


def signs(source: str) -> tuple[list[str], str]:
    """What it consists of, without white space, and what could not be read."""
    found: list[str] = []
    at = 0
    while at < len(source):
        match = _TOKEN.match(source, at)
        if match is None:
            return found, source[at:]
        if match.lastgroup is not None:
            found.append(match[0])
        at = match.end()
    return found, ""
