"""Large payloads, content-addressed and fsynced, in a local folder; and files that agents have brought, each by itself,
so that one can be removed."""

import asyncio
import hashlib
import os
from pathlib import Path

from schemas.errors import NotFound, StoreUnavailable

TIMEOUT_S = 30.0
UPLOADS = "uploads"
_HEX = frozenset("0123456789abcdef")


def new_upload(data: bytes) -> str:
    """A dataref (`blob:upload/<random>-<sha256>`) that nobody else has, not even for the same bytes."""
    return f"blob:upload/{os.urandom(16).hex()}-{hashlib.sha256(data).hexdigest()}"


class Blobs:
    """`put` returns a dataref (`blob:sha256/<hex>`); the same bytes give the same one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def put(self, data: bytes) -> str:
        """When this returns, the bytes are on disk. Raises StoreUnavailable."""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return await asyncio.to_thread(self._put_payload, data)
        except (OSError, TimeoutError) as error:
            raise StoreUnavailable(f"a payload could not be written: {error}") from error

    async def put_upload(self, dataref: str, data: bytes) -> None:
        """Write the bytes of `new_upload(data)`. Raises StoreUnavailable."""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await asyncio.to_thread(self._put, dataref, data)
        except (OSError, TimeoutError) as error:
            raise StoreUnavailable(f"a file could not be written: {error}") from error

    async def remove_upload(self, dataref: str) -> None:
        """Gone already is as good. Raises StoreUnavailable, NotFound for what is no upload."""
        path = self._path(dataref)
        if path.parent.name != UPLOADS:
            raise NotFound(f"not an upload: {dataref!r}")
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await asyncio.to_thread(path.unlink, missing_ok=True)
        except (OSError, TimeoutError) as error:
            raise StoreUnavailable(f"a file could not be removed: {error}") from error

    async def get(self, dataref: str) -> bytes:
        """The bytes. Raises NotFound, StoreUnavailable; bytes that no longer match their name are NotFound."""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                data = await asyncio.to_thread(self._path(dataref).read_bytes)
        except FileNotFoundError as error:
            raise NotFound(f"no payload {dataref}") from error
        except (OSError, TimeoutError) as error:
            raise StoreUnavailable(f"a payload could not be read: {error}") from error
        if hashlib.sha256(data).hexdigest() != self._path(dataref).name.rpartition("-")[2]:
            raise NotFound(f"payload {dataref} is damaged on disk")
        return data

    def _path(self, dataref: str) -> Path:
        scheme, _, name = dataref.partition("/")
        upload, _, digest = name.rpartition("-")
        kind, length = ("blob:upload", 32) if upload else ("blob:sha256", 0)
        if scheme != kind or (len(upload), len(digest)) != (length, 64) or not _HEX.issuperset(upload + digest):
            raise NotFound(f"not a payload reference: {dataref!r}")
        return self.folder / (UPLOADS if upload else digest[:2]) / name

    def _put_payload(self, data: bytes) -> str:
        dataref = f"blob:sha256/{hashlib.sha256(data).hexdigest()}"
        self._put(dataref, data)
        return dataref

    def _put(self, dataref: str, data: bytes) -> None:
        path = self._path(dataref)
        if path.exists():
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}.{os.urandom(4).hex()}")
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
