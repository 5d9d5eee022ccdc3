"""The worker's side of `runtime.workers`: reads frames, runs the function, writes frames."""

import ctypes
import importlib
import os
import signal
import struct
import sys
from typing import BinaryIO

HEAD = struct.Struct(">BI")
"""A frame: kind, length, then that many bytes."""
READY, RESULT, ERROR = 0, 1, 2


def main(target: str, parent: int) -> None:
    """Serve until the input ends. Never returns an error: it ends the process instead."""
    if sys.platform == "linux":
        # Our own end-of-file may come too late: a busy worker does not read.
        ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # What the function prints goes to standard error, so that it cannot break the frames.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    source = sys.stdin.buffer
    module, _, function = target.partition(":")
    try:
        call = getattr(importlib.import_module(module), function)
    except Exception as error:
        _write(out, ERROR, f"{target}: {error!r}".encode())
        sys.exit(1)
    _write(out, READY, b"")
    while len(head := source.read(HEAD.size)) == HEAD.size:
        _, length = HEAD.unpack(head)
        payload = source.read(length)
        if len(payload) < length:
            break
        try:
            kind, body = RESULT, call(payload)
        except Exception as error:
            kind, body = ERROR, f"{type(error).__name__}: {error}"[:4096].encode("utf-8", "replace")
        _write(out, kind, body)


def _write(out: BinaryIO, kind: int, body: bytes) -> None:
    out.write(HEAD.pack(kind, len(body)))
    out.write(body)
    out.flush()
