"""How words are compared: without case, accents, invisible characters or line breaks, on Unicode boundaries.

RE2's `\\b` and `\\w` know ASCII only, so the boundary check is ours: a word ends where neither a letter, a digit nor
a vowel sign follows. Scripts that put no spaces between words (Chinese, Japanese, Thai, …) have no such boundary:
there, and in Korean, whose particles are glued to the word, a phrase matches as a part.
"""

import re
from dataclasses import dataclass

from rules.folding import normal as normal

_UNSPACED = (
    "\u0e00-\u109f\u1100-\u11ff\u1780-\u17ff\u2e80-\u2fdf\u3005-\u3007\u3040-\u30ff\u3130-\u318f\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\U00020000-\U0003ffff"
)
# Vowel signs of the Indic scripts are marks, neither letters nor digits, and stand inside of words.
_WORD = f"(?:(?![{_UNSPACED}])[^\\W_]|[\u0900-\u0963\u0966-\u0dff])"
_WORD_CHAR = re.compile(_WORD)


@dataclass(frozen=True, slots=True)
class Phrase:
    """A phrase to look for in normal texts."""

    text: str
    left: bool
    """A boundary is due before it."""
    right: bool
    """A boundary is due after it."""

    def found_in(self, text: str) -> bool:
        at = text.find(self.text)
        if not (self.left or self.right):
            return at >= 0
        while at >= 0:
            end = at + len(self.text)
            inside_left = self.left and at > 0 and in_word[text[at - 1]]
            inside_right = self.right and end < len(text) and in_word[text[end]]
            if not (inside_left or inside_right):
                return True
            at = text.find(self.text, at + 1)
        return False


class _Known(dict[str, bool]):
    """Whether a character is of a word: asked of the expression once, then remembered."""

    def __missing__(self, char: str) -> bool:
        known = self[char] = _WORD_CHAR.match(char) is not None
        return known


in_word = _Known()


def phrase(written: str, *, part: bool = False) -> Phrase:
    """Prepare a phrase. `part`: it may stand inside of a word."""
    text = normal(written)
    left = bool(text and not part and _WORD_CHAR.match(text[0]))
    right = bool(text and not part and _WORD_CHAR.match(text[-1]))
    return Phrase(text, left, right)
