"""Large payloads, content-addressed and fsynced, in a local folder."""

import asyncio
import hashlib
import os
from pathlib import Path

from schemas.errors import NotFound, StoreUnavailable

TIMEOUT_S = 30.0


class Blobs:
    """`put` returns a dataref (`blob:sha256/<hex>`); the same bytes give the same one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def put(self, data: bytes) -> str:
        """When this returns, the bytes are on disk. Raises StoreUnavailable."""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return await asyncio.to_thread(self._put, data)
        except (OSError, TimeoutError) as error:
            raise StoreUnavailable(f"a payload could not be written: {error}") from error

    async def get(self, dataref: str) -> bytes:
        """The bytes. Raises NotFound, StoreUnavailable; bytes that no longer match their name are NotFound."""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                data = await asyncio.to_thread(self._path(dataref).read_bytes)
        except FileNotFoundError as error:
            raise NotFound(f"no payload {dataref}") from error
        except (OSError, TimeoutError) as error:
            raise StoreUnavailable(f"a payload could not be read: {error}") from error
        if hashlib.sha256(data).hexdigest() != self._path(dataref).name:
            raise NotFound(f"payload {dataref} is damaged on disk")
        return data

    def _path(self, dataref: str) -> Path:
        scheme, _, digest = dataref.partition("/")
        if scheme != "blob:sha256" or len(digest) != 64 or not all(c in "0123456789abcdef" for c in digest):
            raise NotFound(f"not a payload reference: {dataref!r}")
        return self.folder / digest[:2] / digest

    def _put(self, data: bytes) -> str:
        dataref = f"blob:sha256/{hashlib.sha256(data).hexdigest()}"
        path = self._path(dataref)
        if path.exists():
            return dataref
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
        return dataref
