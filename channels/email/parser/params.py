"""Parameters of a structured field (RFC 2045, 2231), however damaged. Pure and total."""

import re

from channels.email.parser.charsets import decode

_NAME = re.compile(r"\s*([^\s=;\"]{1,100}?)\s*=\s*")
_PIECE = re.compile(r"([^*]+)(?:\*(\d{1,4}))?(\*)?")
_PERCENT = re.compile(r"%([0-9A-Fa-f]{2})")
MAX_PARAMS = 200


class Plain(str):
    """Decoded by RFC 2231: what looks like an encoded word in it is none."""

    __slots__ = ()


def parameters(text: str) -> dict[str, str]:
    """Lower-case names → raw values, RFC 2231 continuations joined and decoded. The first of a name wins."""
    plain: dict[str, str] = {}
    pieces: dict[str, list[tuple[int, bool, str]]] = {}
    for name, value in _pairs(text):
        match = _PIECE.fullmatch(name)
        if match is None or (match[2] is None and match[3] is None):
            plain.setdefault(name, value)
        else:
            pieces.setdefault(match[1], []).append((int(match[2] or 0), bool(match[3]), value))
    for name, found in pieces.items():
        value = _joined(found)
        plain[name] = Plain(value) if all(encoded for _, encoded, _ in found) else value
    return plain


def _pairs(text: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    at, size = 0, min(len(text), 64 * 1024)
    while at < size and len(found) < MAX_PARAMS:
        match = _NAME.match(text, at)
        if match is None:
            at = text.find(";", at) + 1
            if at == 0:
                break
            continue
        value, at = _value(text, match.end(), size)
        found.append((match[1].lower(), value))
    return found


def _value(text: str, at: int, size: int) -> tuple[str, int]:
    if at < size and text[at] == '"':
        out: list[str] = []
        at += 1
        while at < size and text[at] != '"':
            if text[at] == "\\" and at + 1 < size and text[at + 1] in '"\\':
                at += 1
            out.append(text[at])
            at += 1
        end = text.find(";", at)
        return "".join(out), size if end < 0 else end + 1
    end = text.find(";", at)
    end = size if end < 0 else end
    return text[at:end].split("(")[0].strip() if text[at:end].startswith("(") else text[at:end].strip(), end + 1


def _joined(found: list[tuple[int, bool, str]]) -> str:
    """Pieces in the order of their numbers; a missing one is passed over."""
    found.sort(key=lambda piece: piece[0])
    charset = ""
    data = bytearray()
    for position, (_, encoded, value) in enumerate(found):
        if encoded and position == 0 and value.count("'") >= 2:
            charset, _, value = value.split("'", 2)
        if encoded:
            value = _PERCENT.sub(
                lambda m: chr(int(m[1], 16)) if int(m[1], 16) < 128 else chr(0xDC00 + int(m[1], 16)), value
            )
        data += value.encode("utf-8", "surrogateescape")
    return decode(bytes(data), charset or None)
