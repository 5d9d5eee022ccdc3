"""The mail parser in a process of its own, which can be killed when a mail makes it run wild."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson

from channels.email.parser.parse import parse


def work(payload: bytes) -> bytes:
    """4 bytes length, that many bytes of JSON (the arguments of `parse`), the raw mail → the Contact as JSON."""
    job, raw = _taken(payload)
    received_at = datetime.fromisoformat(job.pop("received_at"))
    return parse(raw, received_at=received_at, **job).model_dump_json().encode()


def report(payload: bytes) -> bytes:
    """As `work`; the arguments are those of `channels.email.parser.report.report`, the answer is its line."""
    from channels.email.parser.report import report as made

    job, raw = _taken(payload)
    return orjson.dumps(made(raw, **job))


def packed(job: Mapping[str, object], raw: bytes) -> bytes:
    """What a worker takes."""
    head = orjson.dumps(job)
    return len(head).to_bytes(4, "big") + head + raw


def _taken(payload: bytes) -> tuple[dict[str, Any], bytes]:
    size = int.from_bytes(payload[:4], "big")
    return orjson.loads(payload[4 : 4 + size]), payload[4 + size :]
