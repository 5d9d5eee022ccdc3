import io
import logging
import sys
from collections.abc import Iterator

import orjson
import pytest
import structlog

from runtime.logs import LogSettings, configure_logs, get_logger
from runtime.metrics import Metrics


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    before, level, defaults = root.handlers[:], root.level, structlog.get_config()
    yield
    root.handlers[:] = before
    root.setLevel(level)
    structlog.configure(**defaults)


@pytest.mark.parametrize("form", ["json", "console"])
def test_secrets_are_masked_and_an_event_is_one_line(form: str) -> None:
    out = io.StringIO()
    configure_logs(LogSettings.model_validate({"format": form}), out)
    get_logger("unit").warning(
        "got\nforged line",
        api_token="s3cr3t-1",
        nested={"Authorization": "s3cr3t-2", "ok": ["\x1b[2J", "Bearer s3cr3t-3x"]},
        url="amqp://user:s3cr3t-4@host/",
        raw=b"\xff\n",
        text="right\u202eleft",
    )
    text = out.getvalue()
    assert "s3cr3t" not in text
    assert text.count("\n") == 1
    assert "\x1b[2J" not in text
    assert "\u202e" not in text
    assert "got\\nforged line" in text.replace("\\\\", "\\")


def test_json_lines_carry_level_logger_time_and_error() -> None:
    out = io.StringIO()
    configure_logs(LogSettings(format="json"), out)
    try:
        raise ValueError("password=hidden? no: text")
    except ValueError:
        get_logger("unit.x").exception("failed", count=3)
    event = orjson.loads(out.getvalue())
    assert (event["level"], event["logger"], event["event"], event["count"]) == ("error", "unit.x", "failed", 3)
    assert "ValueError" in event["exception"]
    assert event["timestamp"].endswith("Z")


def test_levels_and_libraries() -> None:
    out = io.StringIO()
    configure_logs(LogSettings(level="info", format="json"), out)
    get_logger("unit").debug("hidden")
    logging.getLogger("aiokafka.consumer").info("hidden")
    logging.getLogger("faust.worker").warning("seen %s", "library")
    events = [orjson.loads(line) for line in out.getvalue().splitlines()]
    assert [(e["event"], e["logger"]) for e in events] == [("seen library", "faust.worker")]


def test_the_imap_library_logs_no_tokens_and_no_mails_even_when_all_is_to_be_said() -> None:
    """At `debug` it logs what it sends, with a token in base64, and what it receives."""
    from channels.email.mailboxes.connection import Connection

    out = io.StringIO()
    configure_logs(LogSettings(level="debug", format="json"), out)
    sending = logging.getLogger(sys.modules[Connection.__module__].IMAP4.__module__)
    sending.debug("Sending : AUTHENTICATE XOAUTH2 dXNlcj1tZQ==")
    sending.info("ignored untagged response : a mail")
    assert out.getvalue() == ""


def test_metrics_are_made_once_and_rendered() -> None:
    metrics = Metrics()
    metrics.counter("things", "Things seen.", ["kind"]).labels("a").inc()
    metrics.counter("things", "Things seen.", ["kind"]).labels("a").inc()
    metrics.gauge("lag", "Lag.").set(7)
    metrics.histogram("step_seconds", "Steps.").observe(0.2)
    text = metrics.render().decode()
    assert 'switchboard_things_total{kind="a"} 2.0' in text
    assert "switchboard_lag 7.0" in text
    assert 'switchboard_step_seconds_bucket{le="0.25"} 1.0' in text
    with pytest.raises(ValueError, match="another kind"):
        metrics.gauge("things", "x")
    assert b"things" not in Metrics().render()
