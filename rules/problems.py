"""Mistakes in a policy: each with its place and, where one is known, a hint. Collected, never raised one by one."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

SHOWN_CHARS = 400
LIKELY_CHARS = 200
"""Nobody misspells longer names, and comparing them takes long."""
NAMELESS = "without a name"
"""What a rule is called that has none."""


@dataclass(frozen=True, slots=True)
class Problem:
    place: str
    """`file:line`, or the file alone."""
    what: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.place}: {_short(self.what)}" + (f" ({_short(self.hint)})" if self.hint else "")


def _short(words: str) -> str:
    return words if len(words) <= SHOWN_CHARS else f"{words[:SHOWN_CHARS]} …"


def in_order(problems: Iterable[str]) -> list[str]:
    """Problems as they are printed, each once, by file and line."""

    def place(problem: str) -> tuple[str, int, str]:
        file, _, rest = problem.partition(":")
        line, _, what = rest.partition(":")
        return (file, int(line), what) if line.isdigit() else (file, 0, rest)

    return sorted(set(problems), key=place)


def did_you_mean(written: str, known: Iterable[str]) -> str:
    """A hint for a name that does not exist: the nearest one, else what there is."""
    names = sorted(known)
    near = get_close_matches(written, names, n=1, cutoff=0.6) if len(written) <= LIKELY_CHARS else []
    if near:
        return f"did you mean {near[0]}?"
    if not names:
        return "there are none"
    return "there are " + ", ".join(names[:12]) + (", …" if len(names) > 12 else "")


def nearest_place(places: Mapping[str, str], *path: str) -> str:
    """The nearest known place, from the whole path upwards."""
    for length in range(len(path), 0, -1):
        place = places.get(".".join(path[:length]))
        if place is not None:
            return place
    return ".".join(path)


def place_of(file: str, line: int) -> str:
    return f"{file}:{line}" if line else file
