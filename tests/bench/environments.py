"""Environments of their own for peers, under build/bench/: nothing of theirs gets into ours."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

BUILD = Path(__file__).parents[2] / "build" / "bench"
out = Console()


def environment(pins: Sequence[str]) -> Path:
    """The interpreter of a peer's environment, made when it is first needed."""
    folder = BUILD / "environments" / pins[0].partition("==")[0]
    python = folder / "bin" / "python"
    if not (folder / ".installed").exists():
        out.print(f"setting up {pins[0]} (first time only) …")
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", *pins], check=True)
        (folder / ".installed").touch()
    return python
