"""Content-Transfer-Encoding undone, however damaged. Pure and total."""

import binascii
import re

from channels.email.parser.notes import Notes

_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/=\s]")
_SOFT_BREAK = re.compile(rb"=[ \t]+(?=\r?\n)")
_SPACED = re.compile(rb"[A-Za-z]{2,} [A-Za-z]{1,} [A-Za-z]{2,}")
_UU_BEGIN = re.compile(rb"(?m)^begin(?:-base64)? [0-7]{3,4} ([^\r\n]{1,200})\r?$")
_IDENTITY = ("", "7bit", "8bit", "binary", "8bits", "7bits", "none", "8", "7")
MAX_FILES = 50


def decoded(body: bytes, encoding: str, notes: Notes) -> bytes:
    """The bytes behind `encoding` (letters and digits only, as in `Part.encoding`)."""
    if encoding in _IDENTITY:
        return body
    if encoding.endswith("base64") or encoding == "b":
        return _base64(body, notes)
    if encoding in ("quotedprintable", "quoted", "qp", "q"):
        if b"= " in body or b"=\t" in body:
            body = _SOFT_BREAK.sub(b"=", body)
        return binascii.a2b_qp(body)
    if encoding in ("xuuencode", "uuencode", "uue", "xuue"):
        found = uu_files(body)[1]
        if found:
            return found[0][1]
        notes.defect("bad_uuencode")
        return body
    notes.defect("unknown_transfer_encoding")
    return body


def _base64(body: bytes, notes: Notes) -> bytes:
    sample = body[:4000]
    if _SPACED.search(sample) and len(_NOT_BASE64.findall(sample)) + sample.count(b" ") > len(sample) // 20:
        notes.defect("bad_base64")  # declared, but it is not: the words stand there
        return body
    try:
        # The decoder stops at the first padding; some mailers write one block after another.
        data = binascii.a2b_base64(body)
    except binascii.Error:
        notes.defect("bad_base64")
        letters = _NOT_BASE64.sub(b"", body.split(b"=")[0])
        letters = b"".join(letters.split())
        letters = letters[: len(letters) - 1] if len(letters) % 4 == 1 else letters
        try:
            data = binascii.a2b_base64(letters + b"=" * (-len(letters) % 4))
        except binascii.Error:
            return body
    pad = body.find(b"=")
    if 0 <= pad < len(body) - 4:
        tail = body[pad:].lstrip(b"=")
        block = b"".join(tail.split())
        if len(block) >= 4 and not _NOT_BASE64.search(tail) and not _SPACED.search(tail[:4000]) and len(block) % 4 == 0:
            data += _base64(tail, notes) if b"=" not in tail[:-4] else _blocks(block)
    if not data and body.strip():
        notes.defect("bad_base64")
        return body
    return data


def _blocks(letters: bytes) -> bytes:
    """Several padded blocks, one after another."""
    out = bytearray()
    for block in re.findall(rb"[A-Za-z0-9+/]+={0,2}", letters):
        try:
            out += binascii.a2b_base64(block + b"=" * (-len(block.rstrip(b"=")) % 4 if not block.endswith(b"=") else 0))
        except binascii.Error:
            break
    return bytes(out)


def uu_files(body: bytes) -> tuple[bytes, list[tuple[str, bytes]]]:
    """The text without its uuencoded files, and the files. A block without its `end` is a file too when it has
    at least one good line."""
    kept = bytearray()
    files: list[tuple[str, bytes]] = []
    at = 0
    for begin in _UU_BEGIN.finditer(body):
        if begin.start() < at or len(files) >= MAX_FILES:
            continue
        data, stop = _uu_lines(body, begin.end())
        if data is None:
            continue
        kept += body[at : begin.start()]
        files.append((begin[1].decode("utf-8", "surrogateescape").strip(), data))
        at = stop
    return bytes(kept + body[at:]), files


def _uu_lines(body: bytes, at: int) -> tuple[bytes | None, int]:
    out = bytearray()
    at = body.find(b"\n", at) + 1
    good = 0
    while 0 < at < len(body):
        end = body.find(b"\n", at)
        end = len(body) if end < 0 else end
        line = body[at:end].rstrip(b"\r")
        if line.strip() == b"end":
            return bytes(out), min(end + 1, len(body))
        if line.strip() in (b"", b"`"):
            at = end + 1
            continue
        try:
            out += binascii.a2b_uu(line)
        except binascii.Error:
            # Workaround for encoders that count wrongly, as in the standard library.
            size = (((line[0] - 32) & 63) * 4 + 5) // 3
            try:
                out += binascii.a2b_uu(line[:size])
            except binascii.Error:
                return (bytes(out), at) if good else (None, at)
        good += 1
        at = end + 1
    return (bytes(out), len(body)) if good else (None, at)
