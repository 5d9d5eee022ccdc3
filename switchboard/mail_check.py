"""What `switchboard channels check` looks at: whether an email account can send and be read, and what is wrong."""

from urllib.parse import urlsplit

from channels.email.oauth import endpoints
from channels.email.sending.lanes import links_of
from channels.email.sending.transfer import trouble
from channels.email.settings import EmailSettings
from runtime.clock import SystemClock
from switchboard.clock_check import asked_of, compared, said_by
from switchboard.doctor import Finding, signs_in
from switchboard.mail_records import records
from switchboard.settings import Configuration


async def examine(name: str, settings: EmailSettings, configuration: Configuration) -> list[Finding]:
    """All of one account. Never raises for what it looks at."""
    relay, greeting = await _relay(name, settings, configuration)
    findings = [relay, await _clock(name, settings, greeting)]
    if settings.imap is not None:
        findings.append(await signs_in(name, settings, configuration))
    findings += await records(name, settings)
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
