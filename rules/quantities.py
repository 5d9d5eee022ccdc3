"""Numbers, sizes, spans of time and times of the day, as people write them in conditions."""

import re
from ipaddress import ip_address, ip_network

from rules.calendar import parse_span
from schemas.durations import parse_duration

_NUMBER = re.compile(r"(-?[0-9]{1,15}(?:\.[0-9]{1,9})?)\s*([A-Za-z]*)")
_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
DAYS_BACK = "[1-9]|[12][0-9]|30"
"""A number of days that contacts are counted over, as a pattern."""
_CLOCK = re.compile(r"([01]?\d|2[0-4]):([0-5]\d)")

# How these are written, as patterns for whoever cannot ask the functions below (editors).
NUMBER = r"^\s*-?[0-9]{1,15}(\.[0-9]{1,9})?\s*([kKmMgG]?[iI]?[bB])?\s*$"
_ISO = r"^ *[pP][tT]?([0-9]+(\.[0-9]+)?[wWdDhHmMsS][tT]?)+ *$"
DURATION = rf"^ *([0-9][0-9 ]*(\. *[0-9][0-9 ]*)?([mM] *[sS]|[dDhHmMsS]) *)+$|{_ISO}"
SPAN = f"{NUMBER}|{DURATION}"
CLOCK = r"^\s*([01]?[0-9]|2[0-4]):[0-5][0-9]\s*$"
_HOUR = "([01] *[0-9]|2 *[0-4]) *: *[0-5] *[0-9]"
WINDOW = f"^ *{_HOUR} *[-–] *{_HOUR} *$"


def number(written: str) -> float:
    """`3`, `2.5`, `1MB`, `64KiB`. Raises ValueError."""
    match = _NUMBER.fullmatch(written.strip())
    if match is None or match[2].lower() not in _UNITS:
        raise ValueError(f"{written!r} is no number (write 3, 2.5 or 1MB)")
    return float(match[1]) * _UNITS[match[2].lower()]


def seconds(written: str) -> float:
    """`90`, `30s`, `2h`, `14d`. Raises ValueError."""
    try:
        return number(written)
    except ValueError:
        return parse_duration(written).total_seconds()


def minutes(written: str) -> float:
    """`09:30` → minutes from midnight. Raises ValueError."""
    match = _CLOCK.fullmatch(written.strip())
    if match is None:
        raise ValueError(f"{written!r} is no time of the day (write 09:30)")
    return float(int(match[1]) * 60 + int(match[2]))


MEASURES = {"number": number, "span": seconds, "clock": minutes}
"""Kind of field → how its values are read."""


def in_windows(minute: float, windows: tuple[str, ...]) -> bool:
    """Whether a minute of the day lies in one of `09:00-12:30`, `22:00-06:00`: the end is outside."""
    spans = map(parse_span, windows)
    return any(start <= minute < end or start <= minute + 1440 < end for start, end in spans)


def in_networks(text: str, networks: tuple[str, ...]) -> bool:
    """Whether a text is an address (as `[192.0.2.1]` too) of one of the networks. Any text is accepted."""
    try:
        address = ip_address(text.strip().strip("[]"))
    except ValueError:
        return False
    return any(address in ip_network(network, strict=False) for network in networks)


def problem_of(operator: str, kind: str, written: str) -> str:
    """What is wrong with a value, or ""."""
    try:
        if operator == "cidr":
            ip_network(written, strict=False)
        elif operator == "between":
            parse_span(written)
        elif kind in MEASURES and operator != "exists":
            MEASURES[kind](written)
    except ValueError as error:
        return str(error)
    return ""
