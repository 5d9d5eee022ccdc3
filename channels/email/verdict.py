"""How sure we are of the sender, from Authentication-Results of a server that we trust (RFC 8601)."""

import re
from collections.abc import Sequence

from schemas.interaction import Verdict

_COMMENT = re.compile(r"\([^()]*\)")
_RESULT = re.compile(r"^\s*(dmarc|spf|dkim)\s*=\s*([a-z]+)\b(.*)$", re.IGNORECASE | re.DOTALL)
_DOMAIN = re.compile(r"\b(?:header\.d|header\.from|smtp\.mailfrom)\s*=\s*(?:[^@\s;]*@)?([a-z0-9.-]+)", re.IGNORECASE)


def verdict(headers: Sequence[tuple[str, str]], sender: str, authserv_id: str | None) -> Verdict:
    """verified: DMARC passed, or SPF or DKIM passed for the sender's own domain. failed: DMARC failed.

    Only fields of `authserv_id` count, and only those above the first Received field: below it anybody may have
    written them.
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
        identity, _, results = _COMMENT.sub(" ", value).partition(";")
        if identity.split()[:1] != [authserv_id]:
            continue
        for part in results.split(";"):
            match = _RESULT.match(part)
            if match is None:
                continue
            method, result, rest = match[1].lower(), match[2].lower(), match[3]
            about = [found.lower() for found in _DOMAIN.findall(rest)]
            if method == "dmarc":
                if result == "pass" and domain in about:
                    return "verified"
                if result == "fail":
                    return "failed"
            elif result == "pass" and domain in about:
                aligned = True
    return "verified" if aligned else "unknown"
