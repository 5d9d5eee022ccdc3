"""What `switchboard channels check` looks at: whether an email account can send and be read, and what is wrong.

The DNS is asked for what receivers look at: SPF (RFC 7208), DMARC (RFC 7489), and DKIM's key (RFC 6376).
"""

from urllib.parse import urlsplit

import dns.asyncresolver
import dns.exception
import dns.resolver

from channels.email.oauth import endpoints
from channels.email.sending.lanes import links_of
from channels.email.sending.transfer import trouble
from channels.email.settings import EmailSettings
from runtime.clock import SystemClock
from switchboard.clock_check import asked_of, compared, said_by
from switchboard.doctor import Finding, signs_in
from switchboard.settings import Configuration

DNS_TIMEOUT_S = 5.0


async def examine(name: str, settings: EmailSettings, configuration: Configuration) -> list[Finding]:
    """All of one account. Never raises for what it looks at."""
    relay, greeting = await _relay(name, settings, configuration)
    findings = [relay, await _clock(name, settings, greeting)]
    if settings.imap is not None:
        findings.append(await signs_in(name, settings, configuration))
    findings += await _records(name, settings)
    return findings


async def _clock(name: str, settings: EmailSettings, greeting: str) -> Finding:
    service, smtp = f"clock, by {name}", settings.smtp
    if smtp is not None and (theirs := said_by(greeting)):
        return compared(service, theirs, SystemClock().now(), smtp.host)
    oauth = settings.imap.oauth if settings.imap is not None else None
    if oauth is None:
        return compared(service, None, SystemClock().now(), "")
    url = endpoints(oauth).token
    return compared(service, await asked_of(url), SystemClock().now(), urlsplit(url).hostname or "")


async def _relay(name: str, settings: EmailSettings, configuration: Configuration) -> tuple[Finding, str]:
    """And how it greeted us."""
    service, smtp = f"relay of {name}", settings.smtp
    if smtp is None:
        return Finding(service, False, "there is none: nothing is sent", f"set channels.email.{name}.smtp"), ""
    links = links_of(name, settings, SystemClock(), configuration.path.parent, configuration.data_dir)
    try:
        links.give_back((await links.take())[0])
    except Exception as error:
        outcome = trouble("connecting", error)
        hint = "are username and password right?" if outcome.detail.startswith("AUTH") else "check host, port and tls"
        return Finding(service, False, outcome.detail, hint), links.greeting
    finally:
        links.prune(all_=True)
    signed = " and lets us in" if smtp.password is not None or smtp.oauth else ""
    return Finding(service, True, f"{smtp.host}:{smtp.port} answers{signed}"), links.greeting


async def _records(name: str, settings: EmailSettings) -> list[Finding]:
    domain = settings.address.rpartition("@")[2]
    wanted = [
        ("SPF", domain, "v=spf1", "publish one that names the relay, such as v=spf1 include:RELAY -all"),
        ("DMARC", f"_dmarc.{domain}", "v=dmarc1", "publish one; v=DMARC1; p=none is a beginning"),
    ]
    if settings.dkim_selector:
        key = f"{settings.dkim_selector}._domainkey.{domain}"
        wanted.append(("DKIM", key, "p=", "publish the key that the relay signs with"))
    return [await _record(f"{what} of {name}", at, mark, hint) for what, at, mark, hint in wanted]


async def _record(service: str, at: str, mark: str, hint: str) -> Finding:
    try:
        answer = await dns.asyncresolver.resolve(at, "TXT", lifetime=DNS_TIMEOUT_S)
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return Finding(service, False, f"{at} has no such record: many receivers refuse our mail", hint)
    except (dns.exception.DNSException, OSError) as error:
        return Finding(service, True, f"not looked at: no DNS server answers here ({type(error).__name__})")
    records = [b"".join(each.strings).decode("utf-8", "replace") for each in answer]
    found = [text for text in records if mark in text.lower()]
    if len(found) > 1 and mark == "v=spf1":
        return Finding(service, False, f"{at} has {len(found)} records: receivers take none of them", "keep one")
    return Finding(service, bool(found), found[0][:200] if found else f"{at} has no such record", "" if found else hint)
