"""What a customer's words say about how urgent it is: words of urgency, of anger and of thanks, by language.

Plain lists, looked for in the same pass over the text as the rules' phrases. A word counts in its own language only
(French `colère`, German `sofort`), or in any where the message's language is not known or has no list.
"""

from collections.abc import Iterable, Mapping

from rules.model import PriorityTable
from rules.phrases import Hits, PhraseBook
from rules.words import Phrase, phrase

URGENT: Mapping[str, tuple[str, ...]] = {
    "en": ("urgent", "urgently", "asap", "as soon as possible", "immediately", "emergency", "right away"),
    "de": ("dringend", "eilig", "sofort", "umgehend", "so schnell wie möglich", "schnellstmöglich", "Notfall"),
    "fr": ("urgent", "urgence", "au plus vite", "immédiatement", "dès que possible", "tout de suite"),
    "es": ("urgente", "urgencia", "cuanto antes", "inmediatamente", "lo antes posible", "de inmediato"),
}
_ANGRY: Mapping[str, tuple[str, ...]] = {
    "en": ("angry", "furious", "disappointed", "disgrace", "terrible", "awful", "unacceptable", "worst", "fed up"),
    "de": ("wütend", "verärgert", "enttäuscht", "unverschämt", "schlimm", "inakzeptabel", "Frechheit", "stinksauer"),
    "fr": ("furieux", "furieuse", "déçu", "déçue", "scandaleux", "inadmissible", "honteux", "colère", "catastrophe"),
    "es": ("furioso", "furiosa", "decepcionado", "decepcionada", "indignante", "inaceptable", "pésimo", "vergüenza"),
}
_THANKFUL: Mapping[str, tuple[str, ...]] = {
    "en": ("thank you", "thanks", "great", "happy", "kind"),
    "de": ("danke", "vielen Dank", "super", "freundlich", "zufrieden"),
    "fr": ("merci", "génial", "content", "contente", "aimable"),
    "es": ("gracias", "genial", "contento", "contenta", "amable"),
}
ANGER = 3
"""So many words of anger more than of thanks count fully; more change nothing."""


class Signals:
    """The words by their numbers in a phrase book."""

    def __init__(self, priority: PriorityTable, book: PhraseBook) -> None:
        """Only what the policy makes use of is looked for. Raises ValueError for a word without letters."""
        self._urgent: dict[int, dict[str, str]] = {}
        self._moods: dict[int, dict[str, int]] = {}
        self._lists = {*URGENT, *priority.urgent_words}
        if priority.modifiers.urgent < 1 or any(row.when and row.when.urgent is not None for row in priority.table):
            for language, word, number in _numbered({**URGENT, **priority.urgent_words}, book):
                self._urgent.setdefault(number, {})[language] = word
        if priority.modifiers.sentiment < 1:
            for lists, weight in ((_ANGRY, 1), (_THANKFUL, -1)):
                for language, _, number in _numbered(lists, book):
                    self._moods.setdefault(number, {})[language] = weight

    def urgent_word(self, hits: Hits, language: str | None) -> str:
        """A word of urgency that the customer used, or ""."""
        if not self._urgent:
            return ""
        own = self._own(language)
        found = (self._urgent[number] for number in hits if number in self._urgent)
        return min((word for each in found for spoken, word in each.items() if own in (spoken, None)), default="")

    def anger(self, hits: Hits, language: str | None) -> int:
        """How many more words of anger than of thanks: 0 to `ANGER`."""
        if not self._moods:
            return 0
        own = self._own(language)
        found = (self._moods[number] for number in hits if number in self._moods)
        weights = (next((weight for spoken, weight in each.items() if own in (spoken, None)), 0) for each in found)
        return max(0, min(sum(weights), ANGER))

    def _own(self, language: str | None) -> str | None:
        short = (language or "").lower().split("-")[0]
        return short if short in self._lists else None


def words_of(lists: Mapping[str, Iterable[str]]) -> list[tuple[str, str, Phrase]]:
    """(language, word, phrase). Raises ValueError for a word without letters."""
    found = [(language, word, phrase(word)) for language, words in lists.items() for word in words]
    for language, word, each in found:
        if not each.text:
            raise ValueError(f"{language}: {word!r} holds nothing to look for")
    return found


def _numbered(lists: Mapping[str, Iterable[str]], book: PhraseBook) -> list[tuple[str, str, int]]:
    return [(language, word, book.number(each)) for language, word, each in words_of(lists)]
