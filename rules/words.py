"""How words are compared: without case, accents, invisible characters or line breaks, on Unicode boundaries.

RE2's `\\b` and `\\w` know ASCII only, so the boundary check is ours: a word ends where neither a letter, a digit nor
a vowel sign follows. Scripts that put no spaces between words (Chinese, Japanese, Thai, …) have no such boundary:
there, and in Korean, whose particles are glued to the word, a phrase matches as a part.
"""

import re
from dataclasses import dataclass

from schemas.text import fold

# Soft hyphen, zero-width and bidi controls, variation selectors: invisible, and used to hide words from filters.
_INVISIBLE = re.compile("[\u00ad\u034f\u061c\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff]")
_UNSPACED = (
    "\u0e00-\u109f\u1100-\u11ff\u1780-\u17ff\u2e80-\u2fdf\u3005-\u3007\u3040-\u30ff\u3130-\u318f\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\U00020000-\U0003ffff"
)
# Vowel signs of the Indic scripts are marks, neither letters nor digits, and stand inside of words.
_WORD = f"(?:(?![{_UNSPACED}])[^\\W_]|[\u0900-\u0963\u0966-\u0dff])"
_WORD_CHAR = re.compile(_WORD)
_TOKEN = re.compile(_WORD + "+")
_ASCII_TOKEN = re.compile("[a-z0-9]+")


def normal(value: str) -> str:
    """The form in which texts are compared; runs of white space become one space."""
    if not value.isascii():
        # Compatibility decomposition gives capitals again (mathematical letters), hence the second casefold.
        value = fold(_INVISIBLE.sub("", value)).casefold()
    else:
        value = value.lower()
    return " ".join(value.split())


def tokens(text: str) -> set[str]:
    """All whole words of a normal text."""
    return set((_ASCII_TOKEN if text.isascii() else _TOKEN).findall(text))


@dataclass(frozen=True, slots=True)
class Phrase:
    """A phrase to look for in normal texts."""

    text: str
    left: bool
    """A boundary is due before it."""
    right: bool
    """A boundary is due after it."""
    token: str | None
    """A whole word that any text with this phrase contains; None if it may be a part of words only."""

    def found_in(self, text: str) -> bool:
        at = text.find(self.text)
        if not (self.left or self.right):
            return at >= 0
        while at >= 0:
            end = at + len(self.text)
            if not (self.left and at > 0 and _WORD_CHAR.match(text[at - 1])) and not (
                self.right and end < len(text) and _WORD_CHAR.match(text[end])
            ):
                return True
            at = text.find(self.text, at + 1)
        return False


def phrase(written: str, *, part: bool = False) -> Phrase:
    """Prepare a phrase. `part`: it may stand inside of a word."""
    text = normal(written)
    left = bool(text and not part and _WORD_CHAR.match(text[0]))
    right = bool(text and not part and _WORD_CHAR.match(text[-1]))
    whole = [
        m.group()
        for m in _TOKEN.finditer(text)
        # At an edge without a boundary check the word may go on in the text.
        if (m.start() > 0 or left) and (m.end() < len(text) or right)
    ]
    return Phrase(text, left, right, max(whole, key=len) if whole else None)
