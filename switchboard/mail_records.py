"""What receivers look at in the DNS before they take an account's mail, and what is wrong with it: SPF (RFC 7208),
DMARC (RFC 7489, and RFC 9989 for where it is looked for) and the relay's DKIM key (RFC 6376)."""

import base64
import binascii
import re

import dns.asyncresolver
import dns.exception
import dns.resolver

from channels.email.settings import EmailSettings
from schemas.addresses import wire_address
from switchboard.doctor import Finding

DNS_TIMEOUT_S = 5.0
WALK = 8
"""RFC 9989 §4.10: at most so many names are asked for a policy."""

_SPF = re.compile(r"v=spf1(?: |$)", re.IGNORECASE)
_MECHANISM = re.compile(r"([+?~-]?)(all|include|a|mx|ptr|ip4|ip6|exists)(?:[:/].*)?", re.IGNORECASE)
_MODIFIER = re.compile(r"[a-z][a-z0-9._-]*=", re.IGNORECASE)
_DMARC = re.compile(r"v\s*=\s*DMARC1\s*(?:;|$)")
_POLICIES = ("none", "quarantine", "reject")
_NAME_THE_RELAY = "name the relay in it, such as v=spf1 include:RELAY -all"
_BEGIN_DMARC = "publish one; v=DMARC1; p=none is a beginning"
_REFUSE = "many receivers refuse our mail"


async def records(name: str, settings: EmailSettings) -> list[Finding]:
    """Of one account. Never raises."""
    domain = wire_address(settings.address).rpartition("@")[2].lower()
    asked = [("SPF", _spf_of(domain)), ("DMARC", _dmarc_of(domain))]
    if settings.dkim_selector:
        asked.append(("DKIM", _dkim_of(f"{settings.dkim_selector}._domainkey.{domain}")))
    findings = []
    for what, look in asked:
        try:
            ok, detail, hint = await look
        except (dns.exception.DNSException, OSError) as error:
            ok, detail, hint = True, f"not looked at: no DNS server answers here ({type(error).__name__})", ""
        findings.append(Finding(f"{what} of {name}", ok, detail, hint))
    if not settings.dkim_selector:
        hint = (
            f"set channels.email.{name}.dkim_selector: s= in the DKIM-Signature of a mail that came through the relay"
        )
        findings.append(Finding(f"DKIM of {name}", True, "not looked at: nobody has said which key is in use", hint))
    return findings


_Judged = tuple[bool, str, str]
"""Whether it is well, what is there, and what to do."""


async def _spf_of(domain: str) -> _Judged:
    return spf(domain, await _texts(domain))


async def _dkim_of(at: str) -> _Judged:
    return dkim(at, await _texts(at))


async def _dmarc_of(domain: str) -> _Judged:
    """That of the domain, else that of the organization, which has no public list of its own here: the highest domain
    with a policy."""
    last: tuple[str, list[str]] | None = None
    for above in walk(domain):
        at = f"_dmarc.{above}"
        texts = [text for text in await _texts(at) if "dmarc1" in text.lower()]
        if not texts:
            continue
        suffix = tags(texts[0]).get("psd", "").lower()
        last = last if last and suffix == "y" else (at, texts)
        if above == domain or suffix in ("y", "n"):
            break
    if last is None:
        return False, f"_dmarc.{domain} has no such record, nor has a domain above it: {_REFUSE}", _BEGIN_DMARC
    return dmarc(*last, inherited=last[0] != f"_dmarc.{domain}")


async def _texts(at: str) -> list[str]:
    try:
        answer = await dns.asyncresolver.resolve(at, "TXT", lifetime=DNS_TIMEOUT_S)
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return []
    return [b"".join(each.strings).decode("utf-8", "replace") for each in answer]


def walk(domain: str) -> list[str]:
    """The domain and those above it in which a policy may stand, but for the topmost."""
    labels = domain.split(".")
    return [domain, *(".".join(labels[n:]) for n in range(max(1, len(labels) - WALK + 1), len(labels) - 1))]


def tags(text: str) -> dict[str, str]:
    """`a=b; c=d` of DKIM and DMARC; names in lower case, the first of a name counts."""
    found: dict[str, str] = {}
    for each in text.split(";"):
        name, is_tag, value = each.partition("=")
        if is_tag:
            found.setdefault(name.strip().lower(), value.strip())
    return found


def spf(at: str, texts: list[str]) -> _Judged:
    """The texts at a domain, judged."""
    found = [text for text in texts if _SPF.match(text)]
    if not found:
        if wrong := next((text for text in texts if "v=spf1" in text.lower()), None):
            return False, f"{at} has {_short(wrong)}, which receivers do not read as SPF", "begin it with v=spf1 "
        return False, f"{at} has no such record: {_REFUSE}", f"publish one; {_NAME_THE_RELAY}"
    if len(found) > 1:
        return False, f"{at} has {len(found)} records: receivers take none of them", "join them into one"
    (text,) = found
    permits = False
    for term in text.split()[1:]:
        if _MODIFIER.match(term):
            permits = permits or term.lower().startswith("redirect=")
            continue
        mechanism = _MECHANISM.fullmatch(term)
        if mechanism is None:
            hint = f"correct or remove {term[:40]}"
            return False, f"{_short(text)}: {term[:40]} is nothing that SPF knows: receivers take none of it", hint
        if mechanism[2].lower() == "all":
            if mechanism[1] in ("", "+"):
                return False, f"{_short(text)}: anybody may send in our name, and receivers know it", _NAME_THE_RELAY
            break  # what comes after it is not looked at
        permits = permits or mechanism[1] in ("", "+")
    if not permits:
        return False, f"{_short(text)}: nobody may send in our name, the relay neither", _NAME_THE_RELAY
    return True, _short(text), ""


def dkim(at: str, texts: list[str]) -> _Judged:
    """The texts at a selector, judged."""
    found = [text for text in texts if "p" in tags(text)]
    if not found:
        return False, f"{at} has no such record", "publish the key that the relay signs with"
    if len(found) > 1:
        return False, f"{at} has {len(found)} records: which one receivers take is chance", "keep one"
    said = tags(found[0])
    if said.get("v", "DKIM1") != "DKIM1":
        return False, f"{at} has {_short(found[0])}, which receivers do not read as DKIM", "begin it with v=DKIM1;"
    key = "".join(said["p"].split())
    if not key:
        hint = "publish the key that the relay signs with, or set dkim_selector to that of the key in use"
        return False, f"{at} has an empty p=: this key is revoked, and its signatures count for nothing", hint
    try:
        base64.b64decode(key, validate=True)
    except binascii.Error:
        return False, f"{at} has a p= that is no base64: receivers cannot read the key", "publish it once more"
    return True, _short(found[0]), ""


def dmarc(at: str, texts: list[str], *, inherited: bool = False) -> _Judged:
    """The texts at `_dmarc.…`, judged. `inherited`: they are those of a domain above the account's."""
    found = [text for text in texts if _DMARC.match(text)]
    if not found:
        wrong = next((text for text in texts if "dmarc1" in text.lower()), None)
        if wrong is None:
            return False, f"{at} has no such record: {_REFUSE}", _BEGIN_DMARC
        return False, f"{at} has {_short(wrong)}, which receivers do not read as DMARC", "begin it with v=DMARC1;"
    if len(found) > 1:
        return False, f"{at} has {len(found)} records: receivers take none of them", "keep one"
    (text,) = found
    policy = tags(text).get("p", "")
    if policy.lower() not in _POLICIES:
        what = f"p={policy[:40]}, which is no policy" if policy else "no p="
        return False, f"{at} has {what}: receivers take it for p=none, or for nothing", f"p= is {', '.join(_POLICIES)}"
    return True, f"{_short(text)} (of {at.removeprefix('_dmarc.')})" if inherited else _short(text), ""


def _short(text: str) -> str:
    return text[:200]
