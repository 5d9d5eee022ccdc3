"""What became of an answer, in words that people read, with the mail server's own beside them. Pure."""

import re
from collections.abc import Callable, Sequence
from datetime import datetime

from agents.models import Outcome
from schemas.states import DeliveryState
from store.deliveries import Row

InWords = Callable[[str], str]
"""A mail server's refusal, such as `RCPT: 550 5.1.1 no such user` → what it means, then the refusal in brackets; the
refusal alone where nobody knows."""

_UNDER_WAY = (DeliveryState.PENDING, DeliveryState.ATTEMPTING, DeliveryState.DEFERRED)
_RAW = re.compile(r"(?:connecting|EHLO|AUTH|MAIL|RCPT|DATA|dot): ")
"""How an attempt's end begins: where it ended. The rest is a server's, or a library's."""
_EXPLAINED = re.compile(rf"(.*) \(({_RAW.pattern}.*)\)", re.DOTALL)
_GIVEN_UP = re.compile(r"given up after (\d+) attempts: ")
_SETTLED = re.compile(r"resolved by (.+): (?:it was sent|send it again)")
_WAITS = {
    "chat": "waits until the visitor is there to read it",
    "email": "waits to be sent",
}
_WHY = {
    DeliveryState.SENT: "the mail server took it",
    DeliveryState.DEFERRED: "it could not be passed on this time",
    DeliveryState.FAILED: "the mail server refused it",
    DeliveryState.UNKNOWN: "the link broke at the very end",
}
"""Where the mail server's words say no more, or nothing that people understand."""


def outcomes(rows: Sequence[Row], of_conversation: Sequence[Row], in_words: InWords) -> list[Outcome]:
    """What became of a reply. `rows`: its own; `of_conversation`: those of all replies."""
    return [_outcome(row, of_conversation, in_words) for row in rows]


def in_one_line(found: Sequence[Outcome]) -> str:
    """Of all recipients; they are named where there are several."""
    if not found:
        return _WAITS["email"]
    lines = [f"{each.words}: {each.why}" if each.why else each.words for each in found]
    if len(set(lines)) == 1:
        return lines[0]
    return "; ".join(f"{each.recipient}: {line}" for each, line in zip(found, lines, strict=True))


def _outcome(row: Row, of_conversation: Sequence[Row], in_words: InWords) -> Outcome:
    detail = row.detail.removeprefix(f"{row.recipient} in copy: ")
    why, said = _explained(row.state, detail, in_words)
    words = ""
    at: datetime | None = row.changed_at
    match row.state:
        case DeliveryState.PENDING:
            words, at = _WAITS.get(row.channel, "waits"), None
            if row.attempt:
                words += " again"
            if any(_goes_before(each, row) for each in of_conversation):
                why = "an earlier answer has to go first"
        case DeliveryState.ATTEMPTING:
            words, at, why, said = "is being sent", None, "", ""
        case DeliveryState.SENT:
            words = "sent"
        case DeliveryState.DEFERRED:
            words, at = "will be tried again", row.due_at
        case DeliveryState.FAILED:
            words = "came back" if detail.startswith("bounced") else "not delivered"
        case DeliveryState.UNKNOWN:
            words, at = "nobody knows whether it arrived", None
        case DeliveryState.WITHDRAWN:
            words, why = (detail, "") if detail.startswith("withdrawn") else ("withdrawn", why)
    return Outcome(recipient=row.recipient, state=row.state, words=words, at=at, why=why, said=said)


def _goes_before(earlier: Row, row: Row) -> bool:
    """As `store.deliveries.due` has it."""
    return earlier.recipient == row.recipient and earlier.state in _UNDER_WAY and earlier.created_at < row.created_at


def _explained(state: DeliveryState, detail: str, in_words: InWords) -> tuple[str, str]:
    """Why it is so, and what the other side said."""
    if settled := _SETTLED.fullmatch(detail):
        return f"{settled[1]} {'says that it arrived' if state is DeliveryState.SENT else 'has it sent again'}", ""
    if detail.startswith("bounced"):
        status, _, words = detail.partition(": ")
        return words, status
    if given_up := _GIVEN_UP.match(detail):
        why, said = _explained(state, detail[given_up.end() :], in_words)
        return f"given up after {given_up[1]} attempts; the last time {why}", said
    if _RAW.match(detail):
        detail = in_words(detail)
    if explained := _EXPLAINED.fullmatch(detail):
        return explained[1], explained[2]
    if _RAW.match(detail):
        return _WHY.get(state, ""), detail
    return detail, ""
