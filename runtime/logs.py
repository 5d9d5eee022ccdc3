"""Logs: structlog over the standard library, so that our lines and the libraries' come out alike.

One event is one line, whatever is in it: control characters are escaped, so that a customer's text can
neither forge a line nor move a terminal's cursor. What looks like a secret is masked.
"""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, Literal, TextIO

import orjson
import structlog

from schemas.base import Config

_SECRET_KEY = re.compile(r"password|passwd|token|secret|authorization|api_?key|cookie|credential|private_?key", re.I)
_BEARER = re.compile(r"\b(bearer|basic)\s+[A-Za-z0-9+/=._~-]{6,}", re.I)
_URL_PASSWORD = re.compile(r"(://[^:/@\s]+:)[^@/\s]+@")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_MASK = "[masked]"
_NOISY = ("aioimaplib", "alembic", "faust", "mode", "mail.log", "asyncio", "httpx", "websockets", "uvicorn")
_DEPTH = 4


class LogSettings(Config):
    """The `log` section."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["console", "json"] = "console"


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger: `log.info("what happened", key=value)`. Safe to make at import, before the set-up."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger


def mask(text: str) -> str:
    """Mask bearer and basic credentials and passwords in URLs inside a text."""
    return _URL_PASSWORD.sub(rf"\1{_MASK}@", _BEARER.sub(rf"\1 {_MASK}", text))


def _clean(value: Any, key: str = "", depth: int = 0) -> Any:
    if key and _SECRET_KEY.search(key) and not isinstance(value, bool | int | float | None):
        return _MASK
    if isinstance(value, bytes):
        value = value.decode("utf-8", "backslashreplace")
    if isinstance(value, str):
        return _CONTROL.sub(lambda m: m.group().encode("unicode_escape").decode("ascii"), mask(value))
    if isinstance(value, bool | int | float | None):
        return value
    if depth < _DEPTH:
        if isinstance(value, dict):
            return {_clean(str(k), depth=depth + 1): _clean(v, str(k), depth + 1) for k, v in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [_clean(v, depth=depth + 1) for v in value]
    return _clean(repr(value))


def redact(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """structlog processor: masks secrets and escapes control characters in every value."""
    for key in list(event):
        if not key.startswith("_"):  # structlog's own record, kept as it is
            event[key] = _clean(event[key], key)
    return event


def _json(event: Any, **_: Any) -> str:
    return orjson.dumps(event, default=repr).decode()


def configure_logs(settings: LogSettings, stream: TextIO | None = None) -> None:
    """Set up all logging of this process. Lines go to `stream`, standard error by default."""
    out = stream if stream is not None else sys.stderr
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    render: list[structlog.types.Processor]
    if settings.format == "json":
        render = [structlog.processors.format_exc_info, redact, structlog.processors.JSONRenderer(_json)]
    else:
        colors = out.isatty()
        render = [
            structlog.processors.format_exc_info,
            redact,
            structlog.dev.ConsoleRenderer(colors=colors, pad_event_to=0),
        ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,  # loggers are made at import, before this call
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.level.upper())
    # aiokafka calls each of its own retries an error. Whoever uses it here says "paused" once, with the reason.
    kafka = logging.getLogger("aiokafka")
    kafka.handlers.clear()
    kafka.propagate = True
    kafka.setLevel(logging.WARNING if settings.level == "debug" else logging.CRITICAL)
    for name in _NOISY:
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
        library.setLevel(logging.WARNING)
