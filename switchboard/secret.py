"""The installation's own key: made at the first start, kept beside the data, never printed."""

import contextlib
import os
import secrets
import tempfile
from pathlib import Path

from schemas.errors import ConfigError

NAME = "secret.key"
BYTES = 32


def load_secret(data_dir: Path) -> bytes:
    """Read the key, or make it. Raises ConfigError when the file is damaged or others may read it."""
    path = data_dir / NAME
    if not path.exists():
        _make(path)
    if path.stat().st_mode & 0o077:
        raise ConfigError([f"{path}: others can read the installation's key"], hint=f"chmod 600 {path}")
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except (UnicodeDecodeError, ValueError):
        key = b""
    if len(key) != BYTES:
        raise ConfigError([f"{path}: not a key of {BYTES} bytes in hex"], hint="restore it from your backup")
    return key


def _make(path: Path) -> None:
    # Written beside and linked in: of several processes that start together, each reads the same whole key.
    descriptor, scratch = tempfile.mkstemp(prefix=f".{NAME}-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(BYTES))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(scratch, path)
    finally:
        Path(scratch).unlink()
