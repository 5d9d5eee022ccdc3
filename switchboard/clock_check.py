"""Whether this machine's clock is right, by what mail servers and sign-in servers say of theirs."""

import re
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

import aiohttp

from switchboard.doctor import Finding

MOST = timedelta(seconds=60)
"""More than that, and receivers wonder about our mails, and tokens end before they begin."""
TIMEOUT_S = 10.0
_DATE = re.compile(r"[A-Z][a-z]{2}, {1,2}\d{1,2} [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d (?:[+-]\d{4}|GMT|UT|UTC)")


def said_by(greeting: str) -> datetime | None:
    """The time in an SMTP server's greeting; Exim and Sendmail tell it, Postfix and Exchange do not."""
    found = _DATE.search(greeting)
    return _moment(found[0]) if found else None


async def asked_of(url: str) -> datetime | None:
    """The Date of a web server's answer (RFC 9110 §6.6.1), whatever the answer is. None: it cannot be had."""
    try:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=timeout) as session, session.head(url) as response:
            return _moment(response.headers.get("Date", ""))
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
        return None


def compared(service: str, theirs: datetime | None, ours: datetime, who: str) -> Finding:
    """In words."""
    if theirs is None:
        return Finding(service, True, "not looked at: no server of this account says what time it is")
    off = ours - theirs
    if abs(off) <= MOST:
        return Finding(service, True, f"agrees with {who}")
    seconds = int(abs(off).total_seconds())
    span = (
        f"{seconds // 3600} h {seconds % 3600 // 60} min"
        if seconds >= 3600
        else f"{seconds // 60} min {seconds % 60} s"
    )
    return Finding(
        service,
        False,
        f"this machine's clock is {span} {'ahead of' if off > timedelta() else 'behind'} that of {who}",
        "keep it by NTP (timedatectl set-ntp true)",
    )


def _moment(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    return found if found.tzinfo is not None else None
