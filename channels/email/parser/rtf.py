"""The words of an RTF document. Enough for a mail's body: no tables, no pictures."""

import re

_TOKEN = re.compile(rb"\\([a-z]{1,32})(-?\d{1,10})? ?|\\'([0-9a-fA-F]{2})|\\(.)|([{}])|([^\\{}]+)", re.DOTALL)
_BREAKS = {b"par", b"line", b"row", b"sect", b"page"}
_HIDDEN = {b"fonttbl", b"colortbl", b"stylesheet", b"info", b"pict", b"object", b"header", b"footer", b"htmltag"}
MAX_BYTES = 1024 * 1024


def text_of(data: bytes) -> str:
    out: list[str] = []
    hidden = [False]
    for match in _TOKEN.finditer(data[:MAX_BYTES]):
        word, number, byte, symbol, brace, run = match.groups()
        if brace == b"{":
            hidden.append(hidden[-1])
        elif brace == b"}":
            if len(hidden) > 1:
                hidden.pop()
        elif symbol == b"*" or word in _HIDDEN:
            hidden[-1] = True
        elif hidden[-1]:
            continue
        elif word in _BREAKS:
            out.append("\n")
        elif word == b"tab":
            out.append("\t")
        elif word == b"u" and number:
            out.append(chr(int(number) & 0xFFFF))
        elif byte:
            out.append(bytes([int(byte, 16)]).decode("cp1252", "replace"))
        elif symbol in (b"\\", b"{", b"}"):
            out.append(symbol.decode())
        elif symbol == b"~":
            out.append(" ")
        elif run:
            out.append(run.replace(b"\r", b"").replace(b"\n", b"").decode("cp1252", "replace"))
    return "".join(out).strip()
