# ruff: noqa: E501 - tables
"""One attached file: its bytes, what it is, and a name that is safe to save it under."""

import hashlib
import mimetypes
import re
from dataclasses import dataclass

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"%PDF-", "application/pdf"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
    (b"PK\x03\x04", "application/zip"),
    (b"Rar!\x1a\x07", "application/vnd.rar"),
    (b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (b"\x1f\x8b", "application/gzip"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-ole-storage"),
    (b"MZ", "application/vnd.microsoft.portable-executable"),
    (b"\x7fELF", "application/x-executable"),
    (b"{\\rtf", "application/rtf"),
    (b"ID3", "audio/mpeg"),
    (b"OggS", "audio/ogg"),
    (b"fLaC", "audio/flac"),
    (b"BM", "image/bmp"),
)
_CONTAINERS = {"application/zip", "application/x-ole-storage", "application/gzip"}
_VAGUE = {"", "application/octet-stream", "application/x-download", "application/unknown",
          "application/force-download",
          "application/x-unknown-content-type", "application/binary", "binary/octet-stream", "application/download"}  # fmt: skip
_MORE_NAMES = {
    ".eml": "message/rfc822",
    ".ics": "text/calendar",
    ".heic": "image/heic",
    ".webp": "image/webp",
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ".msg": "application/vnd.ms-outlook",
    ".rtf": "application/rtf",
    ".csv": "text/csv",
    ".p7s": "application/pkcs7-signature",
}
_UNSAFE = re.compile(r"[\x00-\x1f\x7f<>:\"/\\|?*\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]+")
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?")
NAME_BYTES = 120


@dataclass(slots=True)
class File:
    name: str
    """As the sender gave it, decoded; "" when unnamed."""
    type: str
    """What it is by its content, then by what was declared, then by its name."""
    declared_type: str
    data: bytes
    inline: bool = False
    content_id: str | None = None

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


def file_of(
    name: str, kind: str, data: bytes, *, declared: str = "", inline: bool = False, content_id: str | None = None
) -> File:
    return File(name, type_of(data, kind, name), declared or kind, data, inline, content_id)


def type_of(data: bytes, kind: str, name: str) -> str:
    """The declared type is believed only where the bytes do not say otherwise."""
    seen = next((found for magic, found in _MAGIC if data.startswith(magic)), "")
    if data[:4] == b"RIFF":
        seen = {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}.get(data[8:12], "")
    elif data[4:8] == b"ftyp":
        brand = data[8:12]
        seen = "image/heic" if brand in (b"heic", b"heix", b"mif1") else "video/mp4"
    if seen in ("image/bmp", "application/vnd.microsoft.portable-executable") and len(data) < 64:
        seen = ""
    if seen in _CONTAINERS:  # office documents, jars, … : the name or the declared type says which
        return by_name(name) or (kind if kind not in _VAGUE else seen)
    if seen:
        return seen
    if kind in _VAGUE or "/" not in kind:
        return by_name(name) or "application/octet-stream"
    return kind


def by_name(name: str) -> str:
    dot = name.rfind(".")
    extension = name[dot:].lower() if dot >= 0 else ""
    return _MORE_NAMES.get(extension) or mimetypes.types_map.get(extension, "")


def _extension(kind: str) -> str:
    return mimetypes.guess_extension(kind) or (".txt" if kind.startswith(("text/", "message/")) else ".bin")


def saved_as(files: list[File]) -> list[str]:
    """A name for each that no file system minds: no folders, no controls, no reserved words, each once."""
    out: list[str] = []
    taken: set[str] = set()
    for number, file in enumerate(files, start=1):
        base = re.split(r"[/\\]", file.name)[-1] if file.name else ""
        base = _UNSAFE.sub("_", base).strip(" .")
        if not base:
            base = f"attachment-{number}{_extension(file.type)}"
        if _RESERVED.fullmatch(base):
            base = f"_{base}"
        stem, dot, extension = base.rpartition(".")
        if not dot or len(extension) > 15:
            stem, extension = base, ""
        stem = stem.encode()[:NAME_BYTES].decode("utf-8", "ignore")
        suffix = f".{extension}" if extension else ""
        name, again = f"{stem}{suffix}", 2
        while name.lower() in taken:
            name, again = f"{stem} ({again}){suffix}", again + 1
        taken.add(name.lower())
        out.append(name)
    return out
