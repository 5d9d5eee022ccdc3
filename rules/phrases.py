"""All phrases of a policy, looked for in one pass over the text, however many there are (Aho and Corasick, 1975)."""

from collections.abc import Sequence

import ahocorasick_rs

from rules.folding import BREAK, normal
from rules.words import Phrase, in_word

SUBJECT, TEXT = 1, 2
"""Where a phrase was found, as bits."""
TABLE_CHARS = 500_000
"""So many characters of phrases make a table of some 100 MB at most."""

Hits = dict[int, int]
"""Number of a phrase → where it stands."""


class PhraseBook:
    """Phrases get numbers while a policy is compiled; after `close` they can be looked for."""

    def __init__(self) -> None:
        self._numbers: dict[Phrase, int] = {}
        self._phrases: tuple[Phrase, ...] = ()
        self._by_text: list[list[tuple[int, bool, bool]]] = []
        self._automaton: ahocorasick_rs.AhoCorasick | None = None

    def number(self, phrase: Phrase) -> int:
        """The phrase's number. It must not be empty: an empty one is in any text."""
        assert phrase.text, "an empty phrase is found everywhere"
        return self._numbers.setdefault(phrase, len(self._numbers))

    def close(self) -> None:
        """Make ready to look for what was numbered. Two phrases may share a text and differ in their edges."""
        self._phrases = tuple(self._numbers)
        texts: dict[str, list[tuple[int, bool, bool]]] = {}
        for phrase, number in self._numbers.items():
            texts.setdefault(phrase.text, []).append((number, phrase.left, phrase.right))
        self._by_text = list(texts.values())
        # The table of all steps looks faster than the tree with its failing links, and takes more memory.
        small = sum(map(len, texts)) <= TABLE_CHARS
        kind = ahocorasick_rs.Implementation.DFA if small else None
        self._automaton = ahocorasick_rs.AhoCorasick(list(texts), implementation=kind) if texts else None

    @property
    def phrases(self) -> Sequence[Phrase]:
        return self._phrases

    def scan(self, subject: str, text: str) -> Hits:
        """Every phrase that stands in one of the two."""
        hits: Hits = {}
        if self._automaton is None:
            return hits
        both = normal(f"{subject}{BREAK}{text}{BREAK}")
        border = both.find(BREAK)
        try:
            matches = self._automaton.find_matches_as_indexes(both, overlapping=True)
        except UnicodeEncodeError:  # a lone surrogate: no phrase has one
            matches = self._automaton.find_matches_as_indexes(
                both.encode("utf-8", "replace").decode(), overlapping=True
            )
        for found, start, end in matches:
            # A break stands before the text, and behind all of it: there is always a character to look at but before
            # the subject.
            inside_left = start > 0 and in_word[both[start - 1]]
            inside_right = in_word[both[end]]
            for number, left, right in self._by_text[found]:
                if not ((left and inside_left) or (right and inside_right)):
                    hits[number] = hits.get(number, 0) | (SUBJECT if start < border else TEXT)
        return hits
