"""Functions that worker processes run in tests, good and bad."""

import os
import time


def echo(payload: bytes) -> bytes:
    print("printing must not break the pipe")
    return payload[::-1]


def obey(payload: bytes) -> bytes:
    """Do what the payload says."""
    match payload.split():
        case [b"hang"]:
            time.sleep(600)
        case [b"spin"]:
            while True:
                pass
        case [b"die"]:
            os._exit(3)
        case [b"raise"]:
            raise ValueError("as told")
        case [b"deep"]:
            return obey(payload) + b"."
        case [b"sleep", seconds]:
            time.sleep(float(seconds))
    return str(os.getpid()).encode()
