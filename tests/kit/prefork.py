"""`switchboard` in processes that are copies of one which has everything loaded: each begins in a hundredth of the two
seconds that loading takes. A copy is a process of its own, with its own files, environment and end.
"""

import atexit
import contextlib
import gc
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "NO_COLOR": "1", "COLUMNS": "200"}

NOTHING: Mapping[str, str] = MappingProxyType({})


class Prefork:
    """The process that is copied. One command at a time."""

    def __init__(self) -> None:
        orders, self._orders = os.pipe()
        answers, theirs = os.pipe()
        argv = [sys.executable, "-m", "tests.kit.prefork", str(orders), str(theirs)]
        self._process = subprocess.Popen(argv, env=ENVIRONMENT, cwd=ROOT, pass_fds=(orders, theirs))
        os.close(orders)
        os.close(theirs)
        self._answers: IO[str] = os.fdopen(answers)
        atexit.register(self.close)

    def run(
        self, words: Iterable[str], cwd: Path, stdin: str, timeout: float, env: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        """As `subprocess.run([…, "switchboard", *words], capture_output=True, text=True)`."""
        argv = [*words]
        with tempfile.TemporaryDirectory() as folder:
            files = [str(Path(folder) / name) for name in ("in", "out", "err")]
            Path(files[0]).write_text(stdin)
            order = {"argv": argv, "cwd": str(cwd), "files": files, "timeout": timeout, "env": dict(env)}
            os.write(self._orders, json.dumps(order).encode() + b"\n")
            code = json.loads(self._answers.readline())
            if code is None:
                raise subprocess.TimeoutExpired(argv, timeout)
            return subprocess.CompletedProcess(argv, code, Path(files[1]).read_text(), Path(files[2]).read_text())

    def close(self) -> None:
        os.close(self._orders)
        self._process.wait(10)


@cache
def _prefork() -> Prefork:
    return Prefork()


def switchboard(
    *words: str, cwd: Path = ROOT, stdin: str = "", timeout: float = 60, env: Mapping[str, str] = NOTHING
) -> subprocess.CompletedProcess[str]:
    """Run a command of the product; `env` comes to ENVIRONMENT. Raises TimeoutExpired; what it began is killed then."""
    return _prefork().run(words, cwd, stdin, timeout, env)


def _load() -> None:
    import pkgutil
    from importlib import import_module

    import sqlalchemy.dialects.sqlite
    import typer

    import channels.email.parser.parse
    import store.schema
    import switchboard.cli
    from switchboard.cli.app import app

    assert channels and store and sqlalchemy
    for module in pkgutil.iter_modules(switchboard.cli.__path__, "switchboard.cli."):
        import_module(module.name)
    typer.main.get_group(app)
    gc.collect()
    gc.freeze()


def _copy(order: dict[str, Any]) -> int:
    """The pid of a copy that runs the command."""
    pid = os.fork()
    if pid:
        return pid
    code: Any = 1
    try:
        os.setsid()
        os.chdir(order["cwd"])
        os.environ.update(order["env"])
        for number, (name, mode) in enumerate(zip(order["files"], ("r", "w", "w"), strict=True)):
            with open(name, mode) as file:
                os.dup2(file.fileno(), number)
        sys.stdin = open(0, closefd=False)  # noqa: SIM115 - for the rest of its life
        sys.argv = ["switchboard", *order["argv"]]
        from switchboard.__main__ import main

        try:
            main()  # type: ignore[no-untyped-call]
            code = 0
        except SystemExit as end:
            code = end.code
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
    except BaseException:
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(0 if code is None else code if isinstance(code, int) else 1)


def _ended(pid: int, timeout: float) -> int | None:
    until = time.monotonic() + timeout
    while time.monotonic() < until:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None


def _serve(orders: int, answers: int) -> None:
    _load()
    with os.fdopen(orders) as lines, os.fdopen(answers, "w") as answered:
        for line in lines:
            order = json.loads(line)
            answered.write(json.dumps(_ended(_copy(order), order["timeout"])) + "\n")
            answered.flush()


if __name__ == "__main__":
    _serve(*map(int, sys.argv[1:]))
