"""What `switchboard channels check` looks at: whether an email account can send and be read, and what is wrong."""

import re
from urllib.parse import urlsplit

from channels.email.oauth import endpoints
from channels.email.sending.lanes import links_of
from channels.email.sending.links import Links, hang_up
from channels.email.sending.plain import what_to_do
from channels.email.sending.transfer import COMMAND_TIMEOUT_S, NO_UTF8_FOR_US, Outcome, trouble
from channels.email.settings import EmailSettings
from runtime.clock import SystemClock
from schemas.addresses import quoted_address, wire_address
from switchboard.clock_check import asked_of, compared, said_by
from switchboard.doctor import Finding, signs_in
from switchboard.mail_records import records
from switchboard.settings import Configuration


async def examine(name: str, settings: EmailSettings, configuration: Configuration) -> list[Finding]:
    """All of one account. Never raises for what it looks at."""
    findings, greeting = await _relay(name, settings, configuration)
    findings = [*findings, await _clock(name, settings, greeting)]
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


async def _relay(name: str, settings: EmailSettings, configuration: Configuration) -> tuple[list[Finding], str]:
    """And how it greeted us. It is asked as a mail would, up to the recipient, whom it is not told."""
    service, smtp = f"relay of {name}", settings.smtp
    if smtp is None:
        return [Finding(service, False, "there is none: nothing is sent", f"set channels.email.{name}.smtp")], ""
    links = links_of(name, settings, SystemClock(), configuration.path.parent, configuration.data_dir)
    try:
        links.give_back((await links.take())[0])
        signed = " and lets us in" if smtp.password is not None or smtp.oauth else ""
        findings = [Finding(service, True, f"{smtp.host}:{smtp.port} answers{signed}")]
        login = f"may this account send as {settings.address}? ask whoever looks after the relay"
        findings.append(await _takes(links, f"answers of {name}", settings.address, login))
        null = "automatic answers go out so (MAIL FROM:<>): have the relay take them, or choose one that does"
        findings.append(await _takes(links, f"automatic answers of {name}", "", null))
    except Exception as error:
        outcome = trouble("connecting", error)
        return [Finding(service, False, outcome.detail, _hint(name, outcome))], links.greeting
    finally:
        links.prune(all_=True)
    return findings, links.greeting


async def _takes(links: Links, service: str, sender: str, hint: str) -> Finding:
    """Whether the relay takes mail with this return path. Raises as `Links.take`."""
    written = quoted_address(wire_address(sender))
    client, _ = await links.take()
    try:
        utf8 = not written.isascii()
        if utf8 and not client.supports_extension("smtputf8"):
            return Finding(
                service, False, NO_UTF8_FOR_US, "give the account an address in ASCII, or choose such a relay"
            )
        options, encoding = (["SMTPUTF8"], "utf-8") if utf8 else ([], "ascii")
        await client.mail(written, options=options, encoding=encoding, timeout=COMMAND_TIMEOUT_S)
        await client.rset(timeout=COMMAND_TIMEOUT_S)
        await client.quit(timeout=COMMAND_TIMEOUT_S)
    except Exception as error:
        said = trouble("MAIL", error).detail
        return Finding(service, False, said, what_to_do(said) or hint)
    finally:
        hang_up(client)
    return Finding(service, True, f"the relay takes mail from <{sender}>")


def _hint(name: str, outcome: Outcome) -> str:
    if outcome.detail.startswith("AUTH: ") and outcome.ours and not re.match(r"AUTH: \d", outcome.detail):
        return f"switchboard channels login {name}"
    return what_to_do(outcome.detail)
