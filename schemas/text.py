"""What every text from outside goes through once, at the edge."""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator

_SURROGATES = re.compile("[\ud800-\udfff]")
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_LINE = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]+")


def clean_text(value: str) -> str:
    """Body text that every part can carry: no NUL (PostgreSQL), no lone surrogates (UTF-8), `\\n` line ends."""
    value = value.replace("\r\n", "\n").replace("\r", "\n")
    if not value.isascii():
        value = _SURROGATES.sub("�", value)
    return _CONTROLS.sub("", value)


def clean_line(value: str) -> str:
    """One line, fit for a header or a log: a decoded Subject may contain CRLF, which would split headers."""
    if value.isprintable():  # nothing that the patterns look for is: 0.1 µs instead of 1
        return value.strip()
    return _SURROGATES.sub("�", _LINE.sub(" ", value)).strip()


def _text(value: Any) -> Any:
    return clean_text(value) if isinstance(value, str) else value


def _line(value: Any) -> Any:
    return clean_line(value) if isinstance(value, str) else value


Text = Annotated[str, BeforeValidator(_text)]
"""Body text from outside, cleaned."""

Line = Annotated[str, BeforeValidator(_line)]
"""One line from outside, cleaned."""


def skill(value: str) -> str:
    """A skill as it is kept and compared, whoever names it: `German` in a rule is `german` of an agent."""
    return " ".join(fold(value).split())


def fold(value: str) -> str:
    """Case- and accent-insensitive form for comparisons: `Straße` = `STRASSE`, `Café` = `cafe`."""
    if value.isascii():
        return value.lower()
    import unicodedata

    decomposed = unicodedata.normalize("NFKD", value.casefold())
    # Folded again: NFKD turns ℡ into TEL.
    return "".join(c for c in decomposed if not unicodedata.combining(c)).casefold()
