"""The form in which texts are compared, made quickly: without case, accents and invisible characters, on one line;
with plain apostrophes, quotation marks and hyphens, as programs replace those that people type.

Unicode's own way (casefold, NFKD, marks out, casefold) takes 60 to 150 µs for 600 characters. Most texts use few
characters, so an *alphabet* of at most 255 of them folds a text by two table look-ups in C (3 µs). What is in no
alphabet, and Han, Kana or Hangul, takes the long way. The tables are made from the long way, so both agree by
construction; a property test says so, too.
"""

import codecs
import re
import unicodedata
from collections.abc import Iterable

_INVISIBLE = "\u00ad\u034f\u061c\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff"
"""Soft hyphen, zero-width and bidi controls, variation selectors: used to hide words from filters."""


def _ranges(codes: Iterable[int]) -> str:
    spans: list[list[int]] = []
    for code in codes:
        if spans and code == spans[-1][1] + 1:
            spans[-1][1] = code
        else:
            spans.append([code, code])
    return "".join(chr(first) if first == last else f"{chr(first)}-{chr(last)}" for first, last in spans)


# Above are Han and symbols, without marks; to look at all of them takes 0.3 s of every start. A test does.
_MARKS = [code for code in range(0x300, 0x20000) if unicodedata.combining(chr(code))]
# Two classes: with characters beyond the basic plane in it, a class loses Python's fast way of looking one up.
_DROPPED = re.compile(f"[{_INVISIBLE}{_ranges(code for code in _MARKS if code < 0x10000)}]+")
_DROPPED_BEYOND = re.compile(f"[{_ranges(code for code in _MARKS if code >= 0x10000)}]+")

BREAK = "\x01"
"""Stands between texts that are folded together: in no cleaned text, no white space, and no part of a word."""
_ASCII = "".join(map(chr, range(32, 127))) + "\n\t" + BREAK
_SIGNS = "«»“”„‚’‘ʼ‐\u2011–—…№€°•\u00a0·"
# What programs put for what people type: (as it is compared, its other forms after decomposition).
_TYPED = (("'", "’‘ʼ‛"), ('"', "“”„‟"), ("-", "\u2010\u2212"))
_WESTERN = "".join(chr(code) for code in range(0xC0, 0x100))
_EASTERN = "ĄąĆćĘęŁłŃńŚśŹźŻżČčĎďĚěŇňŘřŠšŤťŮůŽžĹĺĽľŔŕŐőŰűĞğİıŞşĂăȘșȚțĐđĀāĒēĪīŪūĖėĮįŲų"
_CYRILLIC = "".join(map(chr, range(0x410, 0x450))) + "ЁёІіЇїЄєҐґЎў"
_UNUSED = "\ufffe"


class _Alphabet:
    """Characters that each fold to one character."""

    def __init__(self, characters: str) -> None:
        pairs = [(c, _long_way(c)) for c in dict.fromkeys(characters)]
        known = [(c, " " if c.isspace() else folded) for c, folded in pairs if len(folded) == 1]
        assert len(known) <= 255, "a byte for each, and NUL"
        rest = _UNUSED * (255 - len(known))
        # Only with NUL in the first place does CPython make its fast map, and not a dictionary.
        self._bytes = codecs.charmap_build("\0" + "".join(c for c, _ in known) + rest)
        self._folded = _UNUSED + "".join(folded for _, folded in known) + rest

    def fold(self, text: str) -> str | None:
        """None if the text has another character in it."""
        try:
            return codecs.charmap_decode(codecs.charmap_encode(text, "strict", self._bytes)[0], "strict", self._folded)[
                0
            ]
        except UnicodeError:
            return None


def _long_way(text: str) -> str:
    text = unicodedata.normalize("NFKD", text.casefold())
    # The voicing marks of Kana stand so densely that dropping them apart costs half.
    text = _DROPPED.sub("", text.replace("\u3099", "").replace("\u309a", ""))
    if 2 * len(text) != len(text.encode("utf-16-le", "surrogatepass")):
        text = _DROPPED_BEYOND.sub("", text)
    for typed, others in _TYPED:
        for other in others:
            text = text.replace(other, typed)
    # Again: compatibility decomposition gives capitals (℡ becomes TEL).
    return text.casefold()


_ALPHABETS = (_Alphabet(_ASCII + _WESTERN + _EASTERN + _SIGNS), _Alphabet(_ASCII + _CYRILLIC + _WESTERN + _SIGNS))


# A lower-case letter for each capital, and a space for whatever `str.split` takes for one.
_LOWER = bytes(32 if chr(code).isspace() else ord(chr(code).lower()) for code in range(128)) + bytes(128)


def normal(text: str) -> str:
    """The form in which texts are compared; runs of white space become one space."""
    if text.isascii():
        return _one_space(text.encode().translate(_LOWER).decode())
    text = text.replace("ß", "ss")  # the one letter in everyday use that folds to two
    for alphabet in _ALPHABETS:
        folded = alphabet.fold(text)
        if folded is not None:
            return _one_space(folded)
    return " ".join(_long_way(text).split())


def _one_space(text: str) -> str:
    while "  " in text:
        text = text.replace("  ", " ")
    return text.strip(" ")
