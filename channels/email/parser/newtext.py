"""What a mail says that is new: without quoted history, without signature; forwarded content stays. Pure and total."""

import re
from dataclasses import dataclass

from channels.email.parser import html as html_
from channels.email.parser import phrases, quotes

_FORWARD_SUBJECT = re.compile(
    r"(?i)^\s*(?:\[[^\]]{0,40}\]\s*)?(?:fwd?|wg|tr|rv|enc|i|vb|vl|doorst|fs|pd|továbbítás|továbbított|i̇lt|ilt|πρθ|転送|转发|轉寄|"
    r"전달|pg|пересл|пер|препр|העברה|redirec[ţțt]ionare|إعادة توجيه|chuyển tiếp|přeposláno|prepošl\w*|fw)\s*[:：]"
)
_VS = re.compile(r"(?i)^\s*(?:\[[^\]]{0,40}\]\s*)?vs\s*:")
"""A forward in Danish and Norwegian, a reply in Finnish and Estonian."""
_NORDIC_BLOCK = re.compile(r"(?im)^[\s>*]{0,8}fra\s?[*]?:")
_BLANKS = re.compile(r"\n{3,}")
_SHORT_SIGNATURE = 10
_CONTACT = re.compile(r"[@|]|\+?\d[\d /()-]{6,}|www\.")


@dataclass(frozen=True, slots=True)
class Forwarded:
    """A forwarded mail's own fields, as its header block gives them, and its text."""

    sender: str
    date: str
    subject: str
    text: str


@dataclass(frozen=True, slots=True)
class Said:
    new: str
    quoted: str = ""
    signature: str = ""
    forwarded: Forwarded | None = None


def said(text: str, html: str, subject: str, *, whole: bool = True) -> Said:
    """`text` is the mail's whole text, `html` its HTML or "". `new` is never empty when `text` is not.

    `whole=False` leaves `quoted` out where it costs time.
    """
    forward = is_forward(subject, text)
    lines = text.split("\n")
    by_lines = quotes.split(lines, forward=forward)
    if by_lines.forward_at is not None:
        return _forward(lines, by_lines, text)
    new, quoted, signature = "\n".join(by_lines.new), by_lines.quoted, ""
    if html and not forward:
        cut = html_.cut(html, whole=whole)
        if cut is not None and cut.new.strip():
            again = quotes.split(cut.new.split("\n"), forward=False)
            if again.forward_at is not None:
                return _forward(lines, by_lines, text)
            new, signature = "\n".join(again.new), cut.signature
            quoted = again.quoted + cut.quoted.split("\n") if cut.quoted else again.quoted or quoted
    if not new.strip():
        return Said(new=text)
    body, tail = without_signature(new)
    signature = "\n".join(filter(None, [tail, signature.strip()])).strip()
    if not body.strip():
        body, signature = new.strip(), ""
    return Said(_BLANKS.sub("\n\n", body.strip()), _trim(quoted), signature)


def is_forward(subject: str, text: str) -> bool:
    """`Fwd:`, `WG:`, `TR:`, … and not a reply to one."""
    if _VS.match(subject):
        return _NORDIC_BLOCK.search(text) is not None
    return _FORWARD_SUBJECT.match(subject) is not None


def inner(outer: Forwarded) -> Forwarded | None:
    """The mail that a forwarded mail forwards itself, at its beginning or below a comment."""
    lines = outer.text.split("\n")
    at = quotes.split(lines, forward=is_forward(outer.subject, outer.text)).forward_at
    return None if at is None else forwarded(_unquoted(lines[at:]))


def _unquoted(lines: list[str]) -> list[str]:
    """Without the quote marks that Apple Mail sets before a whole forwarded mail."""
    if not lines or not phrases.is_quoted(lines[0]):
        return lines
    end = next((at for at, line in enumerate(lines) if line.strip() and not phrases.is_quoted(line)), len(lines))
    return [line.lstrip()[1:].removeprefix(" ") for line in lines[:end]] + lines[end:]


def _forward(lines: list[str], split: quotes.Split, text: str) -> Said:
    at = split.forward_at or 0
    comment, signature = without_signature("\n".join(split.new))
    content = _unquoted(lines[at:])
    new = "\n\n".join(filter(None, [comment.strip(), "\n".join(content).strip()]))
    return Said(new or text, _trim(split.quoted), signature, forwarded(content))


def forwarded(lines: list[str]) -> Forwarded | None:
    """The mail that begins with these lines: a marker, perhaps, then its header block, then its text."""
    at = 0
    total = len(lines)
    while at < min(total, 8) and _leads(lines[at]):
        at += 1
    found, end = quotes.header_block(lines, at, total)
    body = lines[end:]
    if body and all(phrases.is_quoted(line) for line in body if line.strip()):
        body = [line.lstrip()[1:].removeprefix(" ") for line in body]
    return Forwarded(
        sender=found.get("from", ""),
        date=found.get("date", ""),
        subject=found.get("subject", ""),
        text="\n".join(body).strip(),
    )


def _leads(line: str) -> bool:
    return not line.strip() or phrases.is_forward(line) or phrases.is_rule(line) or phrases.is_original(line)


def without_signature(text: str) -> tuple[str, str]:
    """(body, signature): from `-- ` on, or from `Sent from my …` on when little follows."""
    lines = text.rstrip().split("\n")
    for at, line in enumerate(lines):
        bare = line.rstrip("\r")
        short = bare.strip() in ("--", "—", "__") and len(lines) - at <= _SHORT_SIGNATURE
        if bare in ("-- ", "--\u00a0") or (short and not _goes_on(lines[:at], lines[at + 1 :])):
            return _without_phone("\n".join(lines[:at]), "\n".join(lines[at + 1 :]).strip())
    return _without_phone("\n".join(lines), "")


def _says(line: str) -> bool:
    """A sentence, and no name or address: by its end, or by its small words."""
    words = line.split()
    if line.rstrip()[-1:] in tuple(".?!。？！") and len(words) > 2:
        return True
    small = sum(word[0].islower() for word in words[1:])
    return len(words) > 3 and 2 * small >= len(words) and not _CONTACT.search(line)


def _goes_on(above: list[str], below: list[str]) -> bool:
    """Whether the dashes only part what is said from a greeting, or from more that is said: who signs begins with a
    name."""
    first = next((line for line in below if line.strip()), "")
    if _says(first) or any(line.rstrip()[-1:] in ("?", "？") for line in below):
        return True
    said_above = [line.strip() for line in above if line.strip()]
    greeting = len(said_above) == 1 and (said_above[0].endswith((",", "，")) or len(said_above[0].split()) == 1)
    return greeting and any(_says(line) for line in below)


def _without_phone(body: str, signature: str) -> tuple[str, str]:
    lines = body.rstrip().split("\n")
    words = 0
    for at in range(len(lines) - 1, max(-1, len(lines) - 8), -1):
        line = lines[at].strip()
        if not line:
            continue
        words += 1
        alone = at == 0 or not lines[at - 1].strip() or phrases.is_rule(lines[at - 1])
        if phrases.is_phone_signature(line, last=words == 1 and alone):
            cut = at
            while cut > 0 and (phrases.is_rule(lines[cut - 1]) or not lines[cut - 1].strip()):
                cut -= 1
            return "\n".join(lines[:cut]), "\n".join(filter(None, ["\n".join(lines[at:]).strip(), signature]))
        if words > 3 or _says(line):
            break
    return body, signature


def _trim(lines: list[str]) -> str:
    return "\n".join(lines).strip("\n").rstrip()
