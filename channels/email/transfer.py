"""One SMTP transaction, and the truth about how it ended: whether the final dot may have passed is always known."""

import asyncio
import re
from dataclasses import dataclass

import aiosmtplib

from channels.email.settings import SmtpSettings
from schemas.states import DeliveryState

CONNECT_TIMEOUT_S = 30.0
COMMAND_TIMEOUT_S = 60.0
DOT_TIMEOUT_S = 600.0
"""RFC 5321 §4.5.3.2.6: give up earlier, and the mail may arrive all the same."""
FLUSH_S = 0.01

_LINE_END = re.compile(rb"\r\n|\r|\n")
_LEADING_DOT = re.compile(rb"(?m)^\.")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended. `unknown` is only possible once the final dot was on its way."""

    state: DeliveryState
    detail: str


async def transfer(relay: SmtpSettings, sender: str, recipient: str, mail: bytes) -> Outcome:
    """Never raises, but when it is cancelled.

    Trouble with the relay itself (connection, EHLO, AUTH, MAIL) is ours: deferred. A 5xx for the recipient or after
    the dot: failed. After the dot only a 4xx may be tried again; anything but a clear answer is unknown.
    """
    client = aiosmtplib.SMTP(
        hostname=relay.host,
        port=relay.port,
        use_tls=relay.tls == "implicit",
        start_tls=relay.tls == "starttls",
        username=relay.username,
        password=relay.password.get_secret_value() if relay.password else None,
        timeout=CONNECT_TIMEOUT_S,
    )
    stage = "connecting"
    answer: asyncio.Future[aiosmtplib.SMTPResponse] | None = None
    try:
        await client.connect()
        stage = "MAIL"
        await client.ehlo(timeout=COMMAND_TIMEOUT_S)
        await client.mail(sender, timeout=COMMAND_TIMEOUT_S)
        stage = "RCPT"
        await client.rcpt(recipient, timeout=COMMAND_TIMEOUT_S)
        stage = "DATA"
        start = await client.execute_command(b"DATA", timeout=COMMAND_TIMEOUT_S)
        if start.code != aiosmtplib.SMTPStatus.start_input:
            return _answered(stage, start)
        async with asyncio.timeout(DOT_TIMEOUT_S):
            link = client.protocol
            assert link is not None
            # Listening begins before the mail goes out: a server may refuse it half-way.
            answer = asyncio.ensure_future(link.read_response())
            await asyncio.sleep(0)
            link.write(_dotted(mail))
            while not answer.done() and _unsent(link):  # noqa: ASYNC110 - a transport tells nobody when it is empty
                await asyncio.sleep(FLUSH_S)
            if answer.done():
                return _answered(stage, answer.result())
            link.write(b".\r\n")
            stage = "dot"
            return _answered(stage, await answer)
    except aiosmtplib.SMTPRecipientsRefused as error:
        return Outcome(DeliveryState.FAILED, f"{stage}: {clean(str(error))}")
    except aiosmtplib.SMTPResponseException as error:
        return _answered(stage, aiosmtplib.SMTPResponse(error.code, error.message))
    except UnicodeEncodeError:
        return Outcome(DeliveryState.FAILED, f"{stage}: the address is not ASCII; SMTPUTF8 is not supported")
    except (aiosmtplib.SMTPException, OSError, TimeoutError, ValueError, EOFError) as error:
        state = DeliveryState.UNKNOWN if stage == "dot" else DeliveryState.DEFERRED
        return Outcome(state, f"{stage}: {type(error).__name__}: {clean(str(error))}")
    finally:
        if answer is not None:
            answer.cancel()
        client.close()


def _answered(stage: str, response: aiosmtplib.SMTPResponse) -> Outcome:
    """What the server's last word means where it was said. No answer, or a broken one, has a code below 0."""
    detail = f"{stage}: {response.code} {clean(response.message)}"
    kind = response.code // 100
    if stage == "dot":
        known = {2: DeliveryState.SENT, 4: DeliveryState.DEFERRED, 5: DeliveryState.FAILED}
        return Outcome(known.get(kind, DeliveryState.UNKNOWN), detail)
    final = kind == 5 and stage in ("RCPT", "DATA")
    return Outcome(DeliveryState.FAILED if final else DeliveryState.DEFERRED, detail)


def _dotted(mail: bytes) -> bytes:
    """The mail as it goes over the wire (RFC 5321 §4.5.2), without the final dot."""
    lines = _LEADING_DOT.sub(b"..", _LINE_END.sub(b"\r\n", mail))
    return lines if lines.endswith(b"\r\n") else lines + b"\r\n"


def _unsent(link: aiosmtplib.protocol.SMTPProtocol) -> bool:
    """Whether some of what was written has not left this process yet."""
    transport = link.transport
    return isinstance(transport, asyncio.WriteTransport) and transport.get_write_buffer_size() > 0


def clean(words: str) -> str:
    """A server's words, on one line and not too long."""
    return " ".join(words.split())[:300]
