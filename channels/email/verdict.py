"""How sure we are of the sender, from Authentication-Results of a server that we trust (RFC 8601).

Parts of such a field repeat what the sender said (the return path, a signature's names), so it is read strictly:
what is not well formed counts for nothing, and each method is believed about its own property only.
"""

import re
from collections.abc import Iterable

from schemas.interaction import Verdict

MAX_CHARS = 8192
_RESULT = re.compile(r"\s*(dmarc|spf|dkim)\s*=\s*([a-z]+)(?=\s|$)(.*)", re.IGNORECASE | re.DOTALL)
_PROPERTY = re.compile(r"(?<!\S)([a-z]+\.[a-z_-]+)\s*=\s*(\S+)", re.IGNORECASE)
_DOMAIN = re.compile(r"[a-z0-9.-]+")
_ABOUT = {"dmarc": "header.from", "spf": "smtp.mailfrom", "dkim": "header.d"}
_QUOTED = "\x00"
"""Stands for a quoted string, whose words are never read."""


def verdict(headers: Iterable[tuple[str, str]], sender: str, authserv_id: str | None) -> Verdict:
    """verified: DMARC passed, or SPF or DKIM passed for the sender's own domain. failed: DMARC failed.

    `headers` as they stand in the mail: decoding encoded words would let a return path write results. Only fields of
    `authserv_id` count, and only those above the first Received field: below it anybody may have written them.
    """
    if not authserv_id or "@" not in sender:
        return "unknown"
    domain = sender.rpartition("@")[2].lower()
    aligned = False
    for name, value in headers:
        if name.lower() == "received":
            break
        if name.lower() != "authentication-results":
            continue
        for method, result, about in _results(value, authserv_id):
            if method == "dmarc" and result == "fail":
                return "failed"
            if result == "pass" and about == domain:
                if method == "dmarc":
                    return "verified"
                aligned = True
    return "verified" if aligned else "unknown"


def _results(value: str, authserv_id: str) -> list[tuple[str, str, str | None]]:
    """(method, result, the domain that it is about) of one field; nothing of a field that is not well formed."""
    identity, *parts = _bare(value).split(";")
    if [word.lower() for word in identity.split()[:1]] != [authserv_id.lower()]:
        return []
    found = []
    for part in parts:
        match = _RESULT.fullmatch(part)
        if match is None:
            continue
        method = match[1].lower()
        about = [said for name, said in _PROPERTY.findall(match[3]) if name.lower() == _ABOUT[method]]
        found.append((method, match[2].lower(), _domain(about[0]) if len(about) == 1 else None))
    return found if [method for method, _, _ in found].count("dmarc") <= 1 else []


def _domain(said: str) -> str | None:
    domain = said.rpartition("@")[2].lower()
    return domain if _DOMAIN.fullmatch(domain) else None


def _bare(value: str) -> str:
    """The field without its comments and the words of its quoted strings; "" if either is not closed."""
    if len(value) > MAX_CHARS:
        return ""
    kept: list[str] = []
    depth, quoted, escaped = 0, False, False
    for char in value:
        if escaped:
            escaped = False
        elif char == "\\" and (depth or quoted):
            escaped = True
        elif quoted:
            quoted = char != '"'
        elif char == "(":
            depth += 1
        elif depth:
            if char == '"':  # a return path with quotes, copied into a comment as it came
                return ""
            depth -= char == ")"
            if not depth:
                kept.append(" ")
        elif char == '"':
            quoted = True
            kept.append(_QUOTED)
        else:
            kept.append(char)
    return "" if depth or quoted else "".join(kept)
