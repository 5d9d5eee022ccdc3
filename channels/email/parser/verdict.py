"""How sure we are of the sender, from Authentication-Results of a server that we trust (RFC 8601).

Parts of such a field repeat what the sender said (the return path, a signature's names), so it is read strictly:
what is not well formed counts for nothing, and each method is believed about its own property only.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from schemas.interaction import Verdict

MAX_CHARS = 8192
Profile = Literal["microsoft365"]
_RESULT = re.compile(r"\s*(dmarc|spf|dkim)\s*=\s*([a-z]+)(?=\s|$)(.*)", re.IGNORECASE | re.DOTALL)
_PART = re.compile(r"\s*(?:[a-z][a-z0-9_-]*\s*(?:/\s*\d+\s*)?=\s*\S.*|none|[a-z0-9_-]*)\s*", re.IGNORECASE | re.DOTALL)
"""What may stand between semicolons; else a return path with a semicolon was copied as it came."""
_QUOTED_ID = re.compile(r'\s*"([^"\\]{1,255})"(?=[\s;])')
_PROPERTY = re.compile(r"(?<!\S)([a-z]+\.[a-z_-]+)\s*=\s*(\S+)", re.IGNORECASE)
_DOMAIN = re.compile(r"[a-z0-9.-]+")
_BY = re.compile(r"(?:^|\s)by\s+([a-z0-9.:_-]+)", re.IGNORECASE)
_FROM = re.compile(r"\s*from\s+([a-z0-9.:_-]+)", re.IGNORECASE)
_ABOUT = {"dmarc": "header.from", "spf": "smtp.mailfrom", "dkim": "header.d"}
_AGENT = "header.i"
"""Google names the signer by it; its domain is that of header.d or below (RFC 6376 §3.5)."""
_QUOTED = "\x00"
"""Stands for a quoted string, whose words are never read."""
_MICROSOFT = (".outlook.com", ".outlook.de", ".office365.us", ".outlook.cn")

_Result = tuple[str, str, str | None]
"""(method, result, the domain that it is about)"""


@dataclass(frozen=True, slots=True)
class Auth:
    """What the trusted server found, and what follows from it."""

    verdict: Verdict = "unknown"
    authserv_id: str | None = None
    spf: str | None = None
    dkim: str | None = None
    dmarc: str | None = None
    aligned: bool = False


def verdict(headers: Iterable[tuple[str, str]], sender: str, authserv_id: str | None) -> Verdict:
    """The verdict alone, for one authserv-id."""
    return authenticated(headers, sender, (authserv_id,) if authserv_id else ()).verdict


def authenticated(
    headers: Iterable[tuple[str, str]],
    sender: str,
    authserv_ids: Sequence[str],
    *,
    profile: str | None = None,
    own_domains: Iterable[str] = (),
) -> Auth:
    """verified: DMARC passed, or SPF or DKIM passed for the sender's own domain. failed: DMARC failed.

    `headers` as they stand in the mail: decoding encoded words would let a return path write results. Fields of the
    `authserv_ids` count that stand above the first Received field whose `by` is not ours: below it anybody may have
    written them. Where some stand above the field with which the mail came to us, whatever they say and however
    damaged they are, those below it do not count.
    `profile` microsoft365 takes Exchange Online's form without an id, in the same place.
    """
    if not (authserv_ids or profile) or "@" not in sender:
        return Auth()
    ids = {each.lower() for each in authserv_ids}
    found = _believed(headers, ids, profile, _hosts(ids, own_domains, profile))
    domain = _unicode(sender.rpartition("@")[2].lower())
    said: dict[str, str] = {}
    aligned, dmarc_passed, failed = False, False, False
    for method, result, about in (each for _, results in found for each in results):
        mine = about is not None and _aligned(domain, about, exact=method == "dmarc")
        if method not in said or (result == "pass" and mine):
            said[method] = result
        failed = failed or (
            method == "dmarc" and result == "fail" and (about is None or _aligned(domain, about, exact=False))
        )
        if result == "pass" and mine:
            aligned = True
            dmarc_passed = dmarc_passed or method == "dmarc"
    verdict_: Verdict = "failed" if failed else "verified" if aligned else "unknown"
    identity = next((each for each, _ in found if each), None)
    return Auth(verdict_, identity, said.get("spf"), said.get("dkim"), said.get("dmarc"), aligned and not failed)


def _believed(
    headers: Iterable[tuple[str, str]], ids: set[str], profile: str | None, ours: tuple[str, ...]
) -> list[tuple[str, list[_Result]]]:
    above: list[tuple[str, list[_Result]]] = []
    below: list[tuple[str, list[_Result]]] = []
    crossed, stands = False, False
    for name, value in headers:
        lower = name.lower()
        if lower == "received":
            bare = _bare(value[:MAX_CHARS])
            by = _BY.search(bare)
            if by is not None and not _is_ours(by[1], ours):
                break
            if by is None:
                break
            origin = _FROM.match(bare)
            crossed = crossed or (origin is not None and not _is_ours(origin[1], ours))
        elif lower == "authentication-results":
            identity, results = _results(value, ids, profile)
            stands = stands or (not crossed and _is_of(value, ids, profile))
            if results:
                (below if crossed else above).append((identity, results))
    return above if stands else above or below


def _is_of(value: str, ids: set[str], profile: str | None) -> bool:
    """Whether the field seems to be a believed server's, even one that cannot be read."""
    named = value[:MAX_CHARS].partition(";")[0]
    words = re.split(r'[\s()"]+', named.lower())
    return not ids.isdisjoint(words) or (profile == "microsoft365" and "=" in named)


def _hosts(ids: set[str], own_domains: Iterable[str], profile: str | None) -> tuple[str, ...]:
    """Domains whose hosts are ours: the servers that are believed, their neighbours, our own mail domains."""
    names = set(own_domains)
    for each in ids:
        names.add(each)
        parent = each.partition(".")[2]
        if "." in parent:
            names.add(parent)
    ours = [f".{name.lower().strip('.')}" for name in names if name]
    return (*ours, *(_MICROSOFT if profile == "microsoft365" else ()))


def _is_ours(host: str, ours: tuple[str, ...]) -> bool:
    # Google's inner hops name an address, not a host.
    return f".{host.lower().rstrip('.')}".endswith(ours) or host.lower().startswith(
        ("2002:a", "localhost", "127.0.0.1")
    )


def _aligned(domain: str, about: str, *, exact: bool) -> bool:
    """The domain itself or, but for DMARC's own word, one above it: example.org signs for mail.example.org."""
    return domain == about or (not exact and "." in about and domain.endswith(f".{about}"))


def _results(value: str, ids: set[str], profile: str | None) -> tuple[str, list[_Result]]:
    """The believed server's id and results of one field; nothing of a field that is not well formed."""
    quoted = _QUOTED_ID.match(value)
    bare = _bare(f"{quoted[1]}{value[quoted.end() :]}" if quoted else value)
    identity, *parts = bare.split(";")
    named = [word.lower() for word in identity.split()[:1]]
    if profile == "microsoft365" and _RESULT.fullmatch(identity):
        named, parts = [""], [identity, *parts]
    elif not named or named[0] not in ids:
        return "", []
    if not all(_PART.fullmatch(part) for part in parts):
        return "", []
    found: list[_Result] = []
    for part in parts:
        match = _RESULT.fullmatch(part)
        if match is None:
            continue
        method = match[1].lower()
        said = [(name.lower(), value) for name, value in _PROPERTY.findall(match[3])]
        about = [value for name, value in said if name == _ABOUT[method]]
        if method == "dkim" and not about:
            about = [value for name, value in said if name == _AGENT]
        torn = any("@" in word and "=" not in word for word in match[3].split())  # a return path with a space
        found.append((method, match[2].lower(), _domain(about[0]) if len(about) == 1 and not torn else None))
    return (named[0], found) if [method for method, _, _ in found].count("dmarc") <= 1 else ("", [])


def _domain(said: str) -> str | None:
    domain = said.rpartition("@")[2].lower().rstrip(".")
    return _unicode(domain) if _DOMAIN.fullmatch(domain) else None


def _unicode(domain: str) -> str:
    """Each `xn--` label as it is read: mails write either."""
    return ".".join(_label(each) for each in domain.split("."))


def _label(label: str) -> str:
    if not label.startswith("xn--"):
        return label
    try:
        return label[4:].encode("ascii").decode("punycode")
    except UnicodeError:
        return label


def _bare(value: str) -> str:
    """The field without its comments and the words of its quoted strings; "" if either is not closed."""
    if len(value) > MAX_CHARS:
        return ""
    if not any(char in value for char in '("\\'):
        return value
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
