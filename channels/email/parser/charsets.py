"""From bytes to text, whatever the mail says about them. Pure and total."""

import codecs
import re

from charset_normalizer import from_bytes

_GUESS_FROM = 200
"""Below this many bytes a guess is worse than the Western default."""
_GUESS_BYTES = 4000
_META = re.compile(rb"(?i)<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([a-z0-9_:.-]{2,40})")
_NOISE = re.compile(r"[^a-z0-9]+")
_MULTIBYTE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")

# What senders mean, by the name without punctuation: as in browsers, the superset that mailers really write.
_MEANT = {
    "iso88591": "cp1252",
    "latin1": "cp1252",
    "l1": "cp1252",
    "windows1252": "cp1252",
    "iso88599": "cp1254",
    "iso885911": "cp874",
    "tis620": "cp874",
    "windows874": "cp874",
    "iso88598i": "cp1255",
    "iso88598e": "cp1255",
    "iso88598": "cp1255",
    "iso88596i": "iso8859-6",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "xgbk": "gb18030",
    "cp936": "gb18030",
    "euccn": "gb18030",
    "ksc56011987": "cp949",
    "ksc5601": "cp949",
    "euckr": "cp949",
    "shiftjis": "cp932",
    "sjis": "cp932",
    "xsjis": "cp932",
    "iso2022jp": "iso2022_jp_ext",
    "iso2022jpms": "iso2022_jp_ext",
    "cp50220": "iso2022_jp_ext",
    "cp50221": "iso2022_jp_ext",
    "big5": "big5hkscs",
    "xxbig5": "big5hkscs",
    "utf8mb4": "utf-8",
    "utf8": "utf-8",
    "unicode": "utf-16",
    "unicode11utf8": "utf-8",
    "unicode11utf7": "utf-7",
    "unicode20utf8": "utf-8",
    "xmacroman": "mac-roman",
    "macintosh": "mac-roman",
    "xmaccyrillic": "mac-cyrillic",
    "koi8": "koi8-r",
    "dos850": "cp850",
    "visual": "cp1255",
}
_VAGUE = {"usascii", "ascii", "ansix341968", "unknown8bit", "xunknown", "unknown", "8bit", "7bit", "default", "binary"}
_NO_TEXT = {"unicode_escape", "raw_unicode_escape", "undefined", "idna", "punycode", "mbcs", "oem", "hex", "rot-13"}
_ISOLATED = [
    "cp1252",
    "cp1251",
    "koi8_r",
    "cp1250",
    "cp1253",
    "cp1254",
    "cp932",
    "euc_jp",
    "gb18030",
    "big5",
    "cp949",
    "cp866",
]
_SEVERAL_BYTES = ("utf", "gb", "big5", "cp932", "cp949", "euc", "iso2022", "johab", "shift", "hz")


def decode(data: bytes, declared: str | None, hint: str | None = None, notes: "set[str] | None" = None) -> str:
    """Declared charset, else UTF-8, else `hint` (another part's), else a guess, else cp1252.

    Bytes that are good UTF-8 are UTF-8, whatever single-byte charset was declared: the other way round it does not
    happen by chance. `notes` takes what was wrong: unknown_charset, wrong_charset, undeclared_8bit.
    """
    charset = known(declared)
    if declared and charset is None and notes is not None and _name(declared) not in _VAGUE:
        notes.add("unknown_charset")
    if charset not in ("iso2022_jp_ext", "utf-7", "hz", "iso2022_kr", "iso2022_jp") and data.isascii():
        if charset is not None and charset.startswith(("utf-16", "utf-32")) and b"\0" in data:
            return _mended(data, charset)
        return data.decode("ascii")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) and len(data) > 3:
        return data.decode("utf-16", "replace")
    if data.startswith(b"\xef\xbb\xbf"):
        data = data[3:]
    utf8 = None
    if charset is None or not charset.startswith(_SEVERAL_BYTES[1:]):
        utf8 = _utf8(data)
    if utf8 is not None and (charset is None or charset == "utf-8" or len(_MULTIBYTE.findall(data[:20_000])) >= 1):
        if notes is not None and charset != "utf-8":
            notes.add("wrong_charset" if charset or declared else "undeclared_8bit")
        return utf8
    if charset is not None and charset != "utf-8":
        try:
            return data.decode(charset)
        except (UnicodeError, LookupError, ValueError):
            if charset == "cp1252":
                return data.decode("latin-1")  # five of its bytes mean nothing
            if notes is not None:
                notes.add("wrong_charset")
            if charset.startswith(_SEVERAL_BYTES):
                return _mended(data, charset)
    elif notes is not None:
        notes.add("wrong_charset" if declared else "undeclared_8bit")
    if charset == "utf-8" or declared is None:
        mended = data.decode("utf-8", "replace")
        if mended.count("\ufffd") <= len(_MULTIBYTE.findall(data)):  # UTF-8, cut or damaged in places
            return mended
    return _guessed(data, known(hint))


def _utf8(data: bytes) -> str | None:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _mended(data: bytes, charset: str) -> str:
    try:
        return data.decode(charset, "replace")
    except (UnicodeError, LookupError, ValueError):
        return data.decode("cp1252", "replace")


def _guessed(data: bytes, hint: str | None) -> str:
    if hint and hint != "utf-8":
        try:
            return data.decode(hint)
        except (UnicodeError, LookupError, ValueError):
            pass
    if len(data) > _GUESS_FROM:
        best = from_bytes(data[:_GUESS_BYTES], cp_isolation=_ISOLATED).best()
        if best is not None and best.encoding:
            return data.decode(best.encoding, "replace")
    return data.decode("cp1252", "replace")


def _name(charset: str) -> str:
    return _NOISE.sub("", charset.strip().strip("\"'").lower().split("*")[0][:60])


def known(charset: str | None) -> str | None:
    """The codec that is meant; None for what says nothing (us-ascii too) or is not known."""
    if not charset:
        return None
    charset = charset.split("(")[0]
    name = _name(charset)
    if not name or name in _VAGUE:
        return None
    if name in _MEANT:
        return _MEANT[name]
    for spelled in (charset.strip().strip("\"'").lower(), name, name.removeprefix("x"), name.removeprefix("cs")):
        try:
            found = codecs.lookup(spelled)
        except (LookupError, ValueError, UnicodeError):
            continue
        if found.name in _NO_TEXT or not getattr(found, "_is_text_encoding", True):
            return None
        return _MEANT.get(_NOISE.sub("", found.name), found.name)
    return None


def of_html(data: bytes) -> str | None:
    """The charset that an HTML document names itself."""
    found = _META.search(data, 0, 2000)
    return found[1].decode("ascii") if found else None
