"""The mail parser in a process of its own, which can be killed when a mail makes it run wild."""

from datetime import datetime

import orjson

from channels.email.parse import parse


def work(payload: bytes) -> bytes:
    """4 bytes length, that many bytes of JSON (the arguments of `parse`), the raw mail → the Contact as JSON."""
    size = int.from_bytes(payload[:4], "big")
    job = orjson.loads(payload[4 : 4 + size])
    received_at = datetime.fromisoformat(job.pop("received_at"))
    return parse(payload[4 + size :], received_at=received_at, **job).model_dump_json().encode()
