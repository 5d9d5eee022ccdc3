"""New text and quoted history told apart by the lines themselves. Pure, total, one pass."""

from dataclasses import dataclass, field

from channels.email.parser import phrases

MAX_LINES = 20_000
_WRAP = 4
"""Over how many lines an attribution may be wrapped."""
_BLOCK = 12
"""How many lines a quoted header block may take."""


@dataclass(slots=True)
class Split:
    """`new` and `quoted` lines in their order; `forward_at` is the line where a forwarded mail begins, or None."""

    new: list[str] = field(default_factory=list)
    quoted: list[str] = field(default_factory=list)
    forward_at: int | None = None


def split(lines: list[str], *, forward: bool) -> Split:
    """`forward`: the subject says that this mail is a forward, so a header block opens content and not history."""
    out = Split()
    at, total = 0, min(len(lines), MAX_LINES)
    while at < total:
        line = lines[at]
        if phrases.is_quoted(line):
            if forward and phrases.is_forward(line):  # Apple Mail quotes what it forwards
                out.forward_at = at
                return out
            out.quoted.append(line)
            at += 1
            continue
        if phrases.is_forward(line):
            out.forward_at = at
            return out
        width = _attribution(lines, at, total)
        if width:
            rest = _next_words(lines, at + width, total)
            if rest < total and phrases.is_quoted(lines[rest]):
                out.quoted += lines[at:rest]
                at = rest
                continue
            if phrases.opens_history(" ".join(lines[at : at + width])):
                out.quoted += lines[at:]
                return out
        start = _history_header(lines, at, total)
        if start:
            if forward:
                out.forward_at = at
                return out
            if start < total and phrases.is_quoted(lines[start]):
                out.quoted += lines[at:start]
                at = start
                continue
            out.quoted += lines[at:]
            return out
        out.new.append(line)
        at += 1
    out.new += lines[total:]
    return out


def header_block(lines: list[str], at: int, total: int) -> tuple[dict[str, str], int]:
    """The roles and values of a quoted header block that starts at `at`, and the line after it; ({}, at) for none."""
    found: dict[str, str] = {}
    blanks = 0
    position, last = at, at
    role = ""
    while position < min(total, at + _BLOCK + 8):
        line = lines[position]
        if not line.strip(" \t>*|"):
            blanks += 1
            if blanks > (1 if len(found) < 3 else 0) + (0 if found else 1) or (
                "subject" in found and "from" in found and blanks
            ):
                break
            position += 1
            continue
        named = phrases.field_of(line)
        if named is None:
            if not found or role not in ("to", "cc", "from", "subject", "date") or blanks:
                break
            if role in ("to", "cc", "from") and not ("@" in line or ";" in line or line.startswith((" ", "\t"))):
                break
            if role in ("subject", "date") and not line.startswith((" ", "\t")):
                break
            found[role] = f"{found[role]} {line.strip(' >')}"
        elif named[0] in found:
            break
        else:
            role = named[0]
            found[role] = named[1]
        blanks = 0
        position += 1
        last = position
    good = "from" in found and len({"date", "to", "subject"} & set(found)) >= 2
    return (found, last) if good else ({}, at)


def _history_header(lines: list[str], at: int, total: int) -> int:
    """The line after `-----Original Message-----` or a header block that begins at `at`; 0 for neither."""
    line = lines[at]
    if phrases.is_original(line):
        return _next_words(lines, at + 1, total)
    if phrases.is_rule(line):
        after = _next_words(lines, at + 1, total)
        if after >= total:
            return 0
        found, _ = header_block(lines, after, total)
        return after if _is_mailers(found) else 0
    if phrases.field_of(line) is None:
        return 0
    found, end = header_block(lines, at, total)
    return end if _is_mailers(found) else 0


def _is_mailers(found: dict[str, str]) -> bool:
    """People write `From: Berlin`, `To: Hamburg`, `Date: 12 May` too."""
    return "subject" in found or "@" in found.get("from", "")


def _attribution(lines: list[str], at: int, total: int) -> int:
    """Over how many lines an attribution goes that begins at `at`; 0 for none."""
    line = lines[at]
    if not phrases.could_open(line):
        return 0
    text = ""
    for width in range(1, _WRAP + 1):
        if at + width > total:
            return 0
        words = lines[at + width - 1].strip()
        if not words or phrases.is_quoted(words):
            return 0
        text = f"{text} {words}"
        if phrases.ends_like_one(words) and phrases.is_attribution(text):
            return width
    return 0


def _next_words(lines: list[str], at: int, total: int) -> int:
    while at < total and not lines[at].strip():
        at += 1
    return at
