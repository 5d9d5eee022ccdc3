"""What a customer's words say about how urgent it is: words of urgency, of anger and of thanks, by language.

Plain lists, looked for in the same pass over the text as the rules' phrases. A word counts in its own language only
(French `colère`, German `sofort`), or in any where the message's language is not known or has no list.
"""

from collections.abc import Iterable, Mapping

from rules.model import PriorityTable
from rules.phrases import Hits, PhraseBook
from rules.words import phrase

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
        """Only what the policy makes use of is looked for."""
        self._urgent: dict[int, dict[str, str]] = {}
        self._moods: dict[int, dict[str, int]] = {}
        urgent = {**URGENT, **{short(language): words for language, words in priority.urgent_words.items()}}
        self._lists = {*urgent}
        if priority.modifiers.urgent < 1 or any(row.when and row.when.urgent is not None for row in priority.table):
            for language, word, number in _numbered(urgent, book):
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
        own = short(language or "")
        return own if own in self._lists else None


def short(language: str) -> str:
    """`de` of `de-AT`."""
    return language.lower().replace("_", "-").split("-")[0]


def _numbered(lists: Mapping[str, Iterable[str]], book: PhraseBook) -> list[tuple[str, str, int]]:
    return [(language, word, book.number(phrase(word))) for language, words in lists.items() for word in words]
