# ruff: noqa: E501 - tables of phrases read better unbroken
"""What a bounce says: whom it is about, for good or for now, and which of our mails it returns.

RFC 3464 where it is spoken; else `flufl.bounce`, which knows a hundred styles; else the styles of qmail, Exim, Exchange,
Domino, Japanese carriers and their kin, by a table of phrases. Pure and total.
"""

import email
import email.policy
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from channels.email.parser import subjects
from channels.email.parser.fields import address_of, header, ids
from channels.email.parser.mime import Part, head
from channels.email.parser.notes import Notes

BounceKind = Literal["hard", "soft", "delayed"]
_STATUS = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d.])")
_REPLY = re.compile(r"(?<![\d.:-])([45]\d\d)(?=[ \-,:;)]|$)")
_ADDRESS = r"[^\s<>@,;:()\"'\[\]]{1,100}@[a-z0-9.-]{1,200}\.[a-z0-9-]{2,60}"
_BRACKETED = re.compile(rf"(?im)^[ \t>]*<({_ADDRESS})>\s*:?")
_LEADING = re.compile(rf"(?im)^[ \t'\"]{{1,12}}({_ADDRESS})['\"]?(?:\s*$|\s+(?:on |\(|:|\.{{2}}))")
_FIRST = re.compile(rf"(?im)^({_ADDRESS})\s*:?\s*$")
_NAMED = re.compile(
    rf"(?i)(?:could not be delivered to|was not delivered to|could not deliver (?:the |your )?(?:mail|message)?\s*to|delivery to|undeliverable to|recipient(?: address)?|failed address(?:es)?|to:|user unknown[^\n<]{{0,20}}|宛先|あて先|送信先|受信者|收件人(?:邮件地址)?|550[^\n<]{{0,60}})\s*[:：]?\s*[<\"'（(]?({_ADDRESS})"
)
_RCPT = re.compile(rf"(?i)(?:RCPT TO|for|to)\s*:?\s*<({_ADDRESS})>")
_MESSAGE_ID = re.compile(r"(?im)^[ \t>]{0,6}Message-Id:\s*(<[^<>\s]{3,500}>|[^\s<>]{3,500}@[^\s<>]{1,300})")
_COPY = re.compile(
    r"(?im)^.{0,10}(?:-{2,}.{0,80}(?:below this line is a copy|this is a copy of|original message|returned message|message header|transcript).{0,80}|original message follows.{0,40}|={5,}.{0,40}original.{0,40})$"
)
_FULL = re.compile(
    r"(?i)(?:mail ?box|quota|storage|inbox|disk)[^\n.]{0,40}(?:full|exceed|limit|over)|over ?quota|quota exceeded|insufficient (?:system )?(?:storage|disk)|容量|temporar(?:y|ily)|try again later|greylist|too many (?:connections|messages)|timed? ?out|connection refused|deferred|rate limit|throttl"
)
_GONE = re.compile(
    r"(?i)user (?:is )?(?:unknown|not (?:found|listed|known)|does(?:n't| not) exist|disabled)|unknown (?:user|recipient|address|local)|no such (?:user|mailbox|recipient|address|person|account|domain)|"
    r"(?:account|mailbox|recipient|address|user)[^\n.]{0,60}(?:does(?:n't| not) exist|not (?:found|exist|available|listed)|unavailable|disabled|invalid|rejected|inactive|unknown)|no mailbox here|invalid (?:recipient|mailbox|address|user)|not listed in (?:public|domino|the)|"
    r"host (?:or domain name )?(?:not found|unknown)|domain (?:does not exist|not found)|unrouteable|relay(?:ing)? (?:access )?denied|宛先不明|存在しません|不存在|見つかりません|ユーザーが|unbekannt|inconnu|desconocid|sconosciut|permanent(?:ly)? (?:fatal |failure|error|failed)|unrecoverable|fatal errors"
)
_EXPIRED = re.compile(
    r"(?i)(?:retry )?time(?:out)? (?:not reached|exceeded|expired)|could not be delivered (?:for|within)|queue (?:too )?long|too long in (?:the )?queue"
)
_NOT_THE_ADDRESS = re.compile(r"5\.(?:1\.[78]|2\.[23]|3\.\d+|4\.[02-9]|5\.\d+|6\.\d+|7\.\d+)")
"""A full mailbox, a mail that is too large or that a policy refuses, a way that is broken, a sender (ours) that is not
liked: the address is somebody's all the same (RFC 3463 §3)."""
_NOT_THEIRS = re.compile(
    r"(?i)reputation|block ?list|black ?list|\b(?:rbl|dnsbl|spamhaus|barracuda|spamcop|sorbs)\b|\bspam\b|\bpolicy\b|message (?:content )?rejected|"
    r"\bdmarc\b|\bspf\b|\bdkim\b|(?:sending|sender)[^\n.]{0,30}(?:ip|mta|host|domain|address)[^\n.]{0,40}(?:reject|block|refus|not allowed)|"
    r"too (?:large|big)|size limit|mail loop|too many hops|hop count"
)
"""What a server says of us, or of the mail, under a vague code."""
_UNKNOWN = re.compile(
    r"(?i)user unknown|unknown (?:user|recipient)|no such (?:user|mailbox|recipient)|(?:user|mailbox|account|recipient|address) (?:does(?:n't| not) exist|not found)"
)
MAX_RECIPIENTS = 100


@dataclass(frozen=True, slots=True)
class Bounce:
    kind: BounceKind
    status: str | None
    """RFC 3463, such as 5.1.1."""
    recipient: str | None
    """The first address that it is about, as we wrote it where the report says so."""
    recipients: tuple[str, ...]
    about_message_id: str | None
    """Of the mail that came back, without brackets."""


def bounce(root: Part, *, text: str, subject: str, reports: Sequence[tuple[str, bytes]], raw: bytes) -> Bounce:
    """Of a mail that is known to be a bounce."""
    statuses, recipients, actions, words = _delivery_status(reports)
    if not recipients:
        failed = ",".join(root.all("X-Failed-Recipients"))
        recipients = [found for each in failed.split(",")[:MAX_RECIPIENTS] if (found := address_of(each))]
    own = _COPY.split(text, maxsplit=1)[0]
    if not recipients:
        recipients = from_library(raw)
    if not recipients:
        recipients = _from_text(own)
    status = statuses[0] if statuses else None
    evidence = f"{words}\n{own}"
    if status is None or status.endswith(".0.0"):
        spoken = _STATUS.findall(evidence)
        status = next((each for each in spoken if status is None or each[0] == status[0]), status)
    return Bounce(
        kind=_kind(status, actions, subject, evidence),
        status=status,
        recipient=recipients[0] if recipients else None,
        recipients=tuple(dict.fromkeys(recipients))[:MAX_RECIPIENTS],
        about_message_id=about_of(root, text, reports),
    )


def fields_of(data: bytes) -> list[dict[str, str]]:
    """The groups of fields of a machine-readable report part (RFC 3464 §2.1): lower-case name → value."""
    groups: list[dict[str, str]] = []
    for block in re.split(rb"\r?\n[ \t]*\r?\n", data[:200_000])[: MAX_RECIPIENTS + 2]:
        found, _ = head(block.strip(b"\r\n") + b"\n\n", Notes())
        if found:
            groups.append({name.lower(): header(value) for name, value in reversed(found)})
    return groups


def _delivery_status(reports: Sequence[tuple[str, bytes]]) -> tuple[list[str], list[str], set[str], str]:
    statuses: list[str] = []
    recipients: list[str] = []
    actions: set[str] = set()
    words: list[str] = []
    for kind, data in reports:
        if kind not in ("message/delivery-status", "message/global-delivery-status"):
            continue
        for group in fields_of(data):
            action = group.get("action", "").lower().split()[0:1]
            if action and action[0].strip(";") in ("delivered", "relayed", "expanded"):
                continue
            actions.update(word.strip(";") for word in action)
            found = [
                typed_address(group.get(name, ""))
                for name in ("original-recipient", "final-recipient", "x-actual-recipient")
            ]
            address = next((each for each in found if each), "")
            if address and address not in recipients:
                recipients.append(address)
            if code := _STATUS.search(group.get("status", "")):
                diagnosed = _STATUS.search(group.get("diagnostic-code", ""))
                vague = code[1].endswith(".0.0") and diagnosed is not None and diagnosed[1][0] == code[1][0]
                statuses.append(diagnosed[1] if vague and diagnosed else code[1])
            words.append(group.get("diagnostic-code", ""))
    return statuses, recipients, actions, "\n".join(words)


def typed_address(value: str) -> str:
    """`rfc822; ann@example.org` → the address; xtext (`+40`) undone."""
    said = value.rpartition(";")[2].strip().strip('<>"')
    if "@" not in said and "+40" in said:
        said = said.replace("+40", "@").replace("+2B", "+")
    return address_of(said)


def _from_text(text: str) -> list[str]:
    """In the styles of those who do not speak RFC 3464."""
    text = text[:20_000]
    for pattern in (_BRACKETED, _LEADING, _FIRST, _NAMED, _RCPT):
        found = [
            address for each in pattern.findall(text)[:MAX_RECIPIENTS] if (address := address_of(each.rstrip(".")))
        ]
        found = [each for each in found if not each.startswith(("mailer-daemon@", "postmaster@"))]
        if found:
            return list(dict.fromkeys(found))
    return []


def from_library(raw: bytes) -> list[str]:
    """What `flufl.bounce` finds, which knows many rare formats."""
    from flufl.bounce import all_failures

    logging.getLogger("flufl.bounce").setLevel(logging.CRITICAL)
    try:
        temporary, permanent = all_failures(email.message_from_bytes(raw[:200_000], policy=email.policy.compat32))
    except Exception:  # detectors that trust their input
        return []
    addresses = sorted({*permanent, *temporary})
    return [found for each in addresses if (found := address_of(each.decode("utf-8", "replace")))]


def _kind(status: str | None, actions: set[str], subject: str, evidence: str) -> BounceKind:
    if actions and actions <= {"delayed"}:
        return "delayed"
    if not actions and subjects.is_delay(subject):
        return "delayed"
    if status:
        if _NOT_THE_ADDRESS.fullmatch(status):
            return "hard" if status.startswith("5.7.") and _UNKNOWN.search(evidence) else "soft"
        if status[0] in "45":
            if status[0] == "4" and not actions and subjects.is_delay(evidence):
                return "delayed"
            if status[0] == "5" and status.endswith(".0.0") and not _UNKNOWN.search(evidence):
                return "soft" if _NOT_THEIRS.search(evidence) or _FULL.search(evidence) else "hard"
            return "hard" if status[0] == "5" else "soft"
    if not actions and status is None and subjects.is_delay(evidence):
        return "delayed"
    if _FULL.search(evidence) or (_NOT_THEIRS.search(evidence) and not _UNKNOWN.search(evidence)):
        return "soft"
    if code := _REPLY.search(evidence):
        return "hard" if code[1][0] == "5" else "soft"
    if _GONE.search(evidence):
        return "hard"
    return "soft" if _EXPIRED.search(evidence) else "hard"


def about_of(root: Part, text: str, reports: Sequence[tuple[str, bytes]]) -> str | None:
    """The Message-ID of the mail that a report is about: from the returned mail or its header, the report's own field,
    the quoted header, and only then the references."""
    for kind, data in reports:
        if kind in (
            "message/rfc822",
            "message/global",
            "text/rfc822-headers",
            "message/rfc822-headers",
            "message/global-headers",
        ):
            found, _ = head(data, Notes())
            for name, value in found:
                if name.lower() == "message-id" and (known := ids(value)):
                    return known[0]
    for kind, data in reports:
        if kind.startswith("message/"):
            for group in fields_of(data):
                for name in ("original-message-id", "x-original-message-id"):
                    if known := ids(group.get(name, "")):
                        return known[0]
    copy = _COPY.search(text)
    if spoken := _MESSAGE_ID.search(text, copy.start() if copy else 0):
        return next(iter(ids(spoken[1])), None)
    for name in ("In-Reply-To", "References"):
        if known := ids(root.first(name)):
            return known[-1]
    return None
