"""One main process per data folder: a second one would take the first one's open sends for abandoned."""

import fcntl
import os
from pathlib import Path
from typing import TextIO

from schemas.errors import ConfigError

NAME = "switchboard.lock"


class FolderLock:
    """Held until `release`, or until the process is gone, however it went."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / NAME
        self._file: TextIO | None = None

    def acquire(self) -> None:
        """Raises ConfigError when another process holds it."""
        file = self._path.open("a+", encoding="ascii")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            owner = file.read().strip() or "another process"
            file.close()
            raise ConfigError(
                [f"data_dir: Switchboard runs on {self._path.parent} already (process {owner})"],
                hint="stop it first, or give this one a data_dir of its own",
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        self._file = file

    def release(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
