"""What any text that a regex matches has to contain: found in the pattern, without running it.

So a rule whose only condition is a regex can be filed under a few letters. Careful rather than clever: whatever is not
surely mandatory is left out, and what is not understood gives nothing.
"""

import re

_CLASSES = "dDwWsSbBAzaftnrvQE"
"""Letters that stand for something else after a backslash, and take nothing after them."""
SHORTEST = 2
_UNSURE = re.compile(r"\\[QE]|\(\?[A-Za-z-]*\)[?*{]")
"""Quoted runs, and a count behind a group of flags, which RE2 counts the letter before the group by."""


def required_letters(pattern: str) -> str | None:
    """The longest run of ASCII letters and digits, in lower case, that every match contains; None if none is sure.

    `pattern` is RE2's syntax. Case is not looked at, as `(?i)` may be anywhere.
    """
    if "|" in pattern or _UNSURE.search(pattern):
        return None
    runs, at = [""], 0
    while at < len(pattern):
        char = pattern[at]
        at += 1
        if char.isascii() and char.isalnum():
            runs[-1] += char
            continue
        if char in "?*{":  # the letter before it may be missing
            runs[-1] = runs[-1][:-1]
        runs.append("")
        skipped = _skip(pattern, at, char)
        if skipped is None:
            return None
        at = skipped
    longest = max(runs, key=len).lower()
    return longest if len(longest) >= SHORTEST else None


def _skip(pattern: str, at: int, char: str) -> int | None:
    """Where to go on after `char`, which stood before `at`: behind a class, a group, a count. None: give up."""
    match char:
        case "\\":
            if at >= len(pattern):
                return None
            known = not pattern[at].isalnum() or pattern[at] in _CLASSES
            return at + 1 if known else None
        case "[":
            return _behind_class(pattern, at)
        case "(":
            return _behind_group(pattern, at)
        case "{":
            end = pattern.find("}", at)
            return end + 1 if end >= 0 else None
    return at


def _behind_class(pattern: str, at: int) -> int | None:
    at += pattern[at : at + 1] == "^"
    at += pattern[at : at + 1] == "]"  # first in a class, it is a character
    while at < len(pattern):
        if pattern.startswith("[:", at):
            end = pattern.find(":]", at)
            at = end + 2 if end >= 0 else at + 1
        elif pattern[at] == "\\":
            at += 2
        elif pattern[at] == "]":
            return at + 1
        else:
            at += 1
    return None


def _behind_group(pattern: str, at: int) -> int | None:
    """A group may be repeated no times at all: nothing in it is mandatory."""
    open_ = 1
    while at < len(pattern):
        char = pattern[at]
        at += 1
        if char == "(":
            open_ += 1
        elif char == ")":
            open_ -= 1
            if not open_:
                return at
        else:
            skipped = _skip(pattern, at, char)
            if skipped is None:
                return None
            at = skipped
    return None
