"""One SMTP transaction, and the truth about how it ended: whether the final dot may have passed is always known."""

import asyncio
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import aiosmtplib

from channels.email.oauth import SignInNeeded
from channels.email.sending.links import Links, RelayUnfit, hang_up
from runtime.logs import get_logger
from schemas.addresses import quoted_address, wire_address
from schemas.errors import TemporaryError
from schemas.states import DeliveryState
from schemas.text import clean_line

COMMAND_TIMEOUT_S = 60.0
DOT_TIMEOUT_S = 600.0
"""RFC 5321 §4.5.3.2.6: give up earlier, and the mail may arrive all the same."""
BLOCK_TIMEOUT_S = 180.0
"""RFC 5321 §4.5.3.2.5: so long for each piece of the mail, however many there are."""
BLOCK_BYTES = 2**16
FLUSH_S = 0.01
CLOSING = 421
"""RFC 5321 §3.8: the server closes the link, and says so."""
NOT_SURE = "this process stood still for so long that others may have taken over"
NO_UTF8 = "the address is not ASCII, and the relay does not offer SMTPUTF8: write to another address of this customer"
NO_UTF8_FOR_US = "MAIL: our own address is not ASCII, and the relay does not offer SMTPUTF8"

_LINE_END = re.compile(rb"\r\n|\r|\n")
_LEADING_DOT = re.compile(rb"(?m)^\.")
_OCTET = re.compile("[\udc80-\udcff]")

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended. `unknown` is only possible once the final dot was on its way."""

    state: DeliveryState
    detail: str
    ours: bool = False
    """Our relay refuses us for good (banner, EHLO, AUTH, MAIL, no TLS or sign-in as set): every mail would fare the
    same until somebody acts."""
    away: bool = False
    """Our relay was not to be had: nothing is wrong with this mail, or with its recipient."""
    at_mail: bool = False
    """It was the return path that was refused: mail with another one may go."""
    plain: bool = False
    """The words are our own, and for people."""
    untried: bool = False
    """No attempt that the relay or the other side has seen the whole of: it does not count."""


async def transfer(
    links: Links, sender: str, recipient: str, mail: bytes, sure: Callable[[], bool] = lambda: True
) -> Outcome:
    """Never raises, but when it is cancelled. `sure` is asked before DATA: whether the attempt is still ours to make.

    Trouble with the relay itself (connection, EHLO, AUTH, MAIL) is ours: deferred. A 5xx for the recipient or after
    the dot: failed. After the dot only a 4xx may be tried again; anything but a clear answer is unknown.
    """
    stage = "connecting"
    client: aiosmtplib.SMTP | None = None
    answer: asyncio.Future[aiosmtplib.SMTPResponse] | None = None
    try:
        client, fresh = await links.take()
        stage = "MAIL"
        sender, recipient = quoted_address(wire_address(sender)), quoted_address(wire_address(recipient))
        utf8 = not (recipient.isascii() and sender.isascii() and mail[: mail.find(b"\r\n\r\n")].isascii())
        if utf8 and not client.supports_extension("smtputf8"):
            if recipient.isascii():
                return Outcome(DeliveryState.DEFERRED, NO_UTF8_FOR_US, ours=True, away=True)
            return Outcome(DeliveryState.FAILED, NO_UTF8, plain=True)
        options = ["SMTPUTF8"] if utf8 else []
        encoding = "utf-8" if utf8 else "ascii"
        try:
            await client.mail(sender, options=options, encoding=encoding, timeout=COMMAND_TIMEOUT_S)
        except (aiosmtplib.SMTPServerDisconnected, aiosmtplib.SMTPSenderRefused) as error:
            if fresh or getattr(error, "code", CLOSING) != CLOSING:
                raise
            # The server has closed the link since the last mail: nothing is lost by asking on a new one.
            hang_up(client)
            client = await links.open()
            await client.mail(sender, options=options, encoding=encoding, timeout=COMMAND_TIMEOUT_S)
        stage = "RCPT"
        await client.rcpt(recipient, encoding=encoding, timeout=COMMAND_TIMEOUT_S)
        stage = "DATA"
        if not sure():
            return Outcome(DeliveryState.DEFERRED, NOT_SURE, untried=True)
        start = await client.execute_command(b"DATA", timeout=COMMAND_TIMEOUT_S)
        if start.code != aiosmtplib.SMTPStatus.start_input:
            return _answered(stage, start)
        link = client.protocol
        assert link is not None
        # Listening begins before the mail goes out: a server may refuse it half-way.
        answer = asyncio.ensure_future(link.read_response())
        await _upload(link, _dotted(mail), answer)
        if answer.done():
            return _answered(stage, answer.result())
        link.write(b".\r\n")
        stage = "dot"
        async with asyncio.timeout(DOT_TIMEOUT_S):
            outcome = _answered(stage, await answer)
        if outcome.state is DeliveryState.SENT:
            links.give_back(client)
            client = None
        return outcome
    except Exception as error:
        return trouble(stage, error)
    finally:
        if answer is not None:
            answer.cancel()
        if client is not None:
            hang_up(client)


def trouble(stage: str, error: Exception) -> Outcome:
    """What an exception at this stage means. Never raises: after a bug, too, whether the dot may have passed is all
    that counts."""
    match error:
        case RelayUnfit():
            return Outcome(DeliveryState.DEFERRED, f"{stage}: {clean(str(error))}", ours=True, away=True)
        case SignInNeeded():
            return Outcome(DeliveryState.DEFERRED, f"AUTH: {clean(str(error))}", ours=True, away=True)
        case aiosmtplib.SMTPAuthenticationError():
            return _answered("AUTH", aiosmtplib.SMTPResponse(error.code, error.message))
        case aiosmtplib.SMTPRecipientsRefused():
            return Outcome(DeliveryState.FAILED, f"{stage}: {clean(str(error))}")
        case aiosmtplib.SMTPResponseException():
            return _answered(stage, aiosmtplib.SMTPResponse(error.code, error.message))
        case aiosmtplib.SMTPException() | OSError() | ValueError() | EOFError() | TemporaryError():
            away = stage in ("connecting", "MAIL")
        case _:
            log.error("an attempt failed in an unforeseen way", stage=stage, exc_info=error)
            away = False
    state = DeliveryState.UNKNOWN if stage == "dot" else DeliveryState.DEFERRED
    # A certificate that is strange to us stays so.
    ours = isinstance(error.__cause__ or error, ssl.SSLCertVerificationError)
    return Outcome(state, f"{stage}: {type(error).__name__}: {clean(str(error))}", ours=ours, away=away or ours)


def _answered(stage: str, response: aiosmtplib.SMTPResponse) -> Outcome:
    """What the server's last word means where it was said. No answer, or a broken one, has a code below 0."""
    detail = f"{stage}: {response.code} {clean(response.message)}"
    kind = response.code // 100
    if stage == "dot":
        known = {2: DeliveryState.SENT, 4: DeliveryState.DEFERRED, 5: DeliveryState.FAILED}
        return Outcome(known.get(kind, DeliveryState.UNKNOWN), detail)
    if kind == 5 and stage in ("RCPT", "DATA"):
        return Outcome(DeliveryState.FAILED, detail)
    ours = kind == 5
    # "Later" to MAIL is said by a relay that is there, such as one that has had enough of us for now.
    away = ours or stage in ("connecting", "AUTH")
    return Outcome(DeliveryState.DEFERRED, detail, ours=ours, away=away, at_mail=ours and stage == "MAIL")


def _dotted(mail: bytes) -> bytes:
    """The mail as it goes over the wire (RFC 5321 §4.5.2), without the final dot."""
    ends = mail.count(b"\r\n")
    if mail.count(b"\n") != ends or mail.count(b"\r") != ends:
        mail = _LINE_END.sub(b"\r\n", mail)
    lines = mail.replace(b"\r\n.", b"\r\n..") if mail[:1] != b"." else _LEADING_DOT.sub(b"..", mail)
    return lines if lines.endswith(b"\r\n") else lines + b"\r\n"


async def _upload(link: aiosmtplib.protocol.SMTPProtocol, lines: bytes, answer: asyncio.Future[Any]) -> None:
    """Until all has left this process, or the server has answered before that. Raises TimeoutError for a piece that
    does not leave: how long the whole takes is a matter of the line.

    In pieces also because of TLS, which says that it holds nothing as soon as all is encrypted.
    """
    for start in range(0, len(lines), BLOCK_BYTES):
        await asyncio.sleep(0)  # the answer may be there
        if answer.done():
            return
        link.write(lines[start : start + BLOCK_BYTES])
        async with asyncio.timeout(BLOCK_TIMEOUT_S):
            while not answer.done() and _unsent(link):  # noqa: ASYNC110 - a transport tells nobody when it is empty
                await asyncio.sleep(FLUSH_S)


def _unsent(link: aiosmtplib.protocol.SMTPProtocol) -> bool:
    """Whether some of what was written has not left this process yet."""
    transport = link.transport
    return isinstance(transport, asyncio.WriteTransport) and transport.get_write_buffer_size() > 0


def clean(words: str) -> str:
    """A server's words, on one line and not too long, as every database and topic takes them.

    aiosmtplib hands on octets that are no UTF-8 as surrogates; they are most likely Windows-1252 (`Empf\xe4nger`).
    """
    words = _OCTET.sub(lambda octet: bytes([ord(octet[0]) - 0xDC00]).decode("cp1252", "replace"), words)
    return " ".join(clean_line(words).split())[:300]
