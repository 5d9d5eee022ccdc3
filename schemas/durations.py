"""Durations as people write them: `30s`, `5m`, `4h`, `14d`, `1h30m`."""

import re
from datetime import timedelta
from functools import lru_cache
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer

_UNITS = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds", "ms": "milliseconds"}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|d|h|m|s)")


def parse_duration(value: Any) -> timedelta:
    """Turn `90s`, `1h30m` or a timedelta into a timedelta. Raises ValueError with an example otherwise."""
    if isinstance(value, timedelta):
        return value
    if isinstance(value, str):
        text = value.strip().lower().replace(" ", "")
        parts = _PART.findall(text)
        if parts and "".join(n + u for n, u in parts) == text:
            return sum((timedelta(**{_UNITS[u]: float(n)}) for n, u in parts), timedelta())
        try:
            return _from_iso(text)
        except ValueError:
            pass
    raise ValueError(f"not a duration: {value!r} (write 30s, 5m, 4h, 14d or 1h30m)")


def _from_iso(text: str) -> timedelta:
    from pydantic import TypeAdapter

    if not text.startswith("p"):
        raise ValueError(text)
    return TypeAdapter(timedelta).validate_python(text.upper())


@lru_cache(maxsize=1024)
def format_duration(value: timedelta) -> str:
    """The shortest form that `parse_duration` reads back: `1h30m`."""
    left = round(value.total_seconds() * 1000)
    if left <= 0:
        return "0s"
    out = []
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, left = divmod(left, size)
        if count:
            out.append(f"{count}{unit}")
    return "".join(out)


Duration = Annotated[timedelta, BeforeValidator(parse_duration), PlainSerializer(format_duration, str)]
"""A config field for durations."""
