"""The mail parser, which does not survive a mail with POISON in it. For worker processes."""

import os
import time

from channels.email.parser.worker import work


def hang(payload: bytes) -> bytes:
    if b"POISON" in payload:
        time.sleep(60)
    return work(payload)


def crash(payload: bytes) -> bytes:
    if b"POISON" in payload:
        os._exit(9)
    return work(payload)


def fail(payload: bytes) -> bytes:
    if b"POISON" in payload:
        raise RuntimeError("as told")
    return work(payload)
