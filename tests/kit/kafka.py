"""One Apache Kafka for a whole test session: the product's own local broker, or the one that the environment names."""

import asyncio
import os
import shutil
import tempfile
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from bus.brokers.kafka_jars import folder
from bus.brokers.local import LocalBroker
from bus.settings import KafkaSettings

NAMED = "SWITCHBOARD_TEST_KAFKA"
WHAT = f"Apache Kafka: Java 17 and Maven, or {NAMED}=host:port"

_T = TypeVar("_T")


def named() -> str | None:
    """The address that the environment gives."""
    return os.environ.get(NAMED) or None


def can_run() -> bool:
    """True if a local broker can be started here."""
    return shutil.which("java") is not None and (folder().is_dir() or shutil.which("mvn") is not None)


class _Loop:
    """An event loop in a thread of its own, which outlives those of the single tests.

    Children die with the thread that started them, so it has to last as long as they do.
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="kit.kafka", daemon=True)
        self._thread.start()

    def run(self, coro: Coroutine[Any, Any, _T], timeout: float) -> _T:
        return asyncio.run_coroutine_threadsafe(coro, self._loop).result(timeout)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


@contextmanager
def server() -> Iterator[str]:
    """Yields host:port of a broker whose topics are the tests' to make and delete."""
    if address := named():
        yield address
        return
    data = Path(tempfile.mkdtemp(prefix="sbkafka"))
    loop = _Loop()
    broker = LocalBroker(KafkaSettings(brokers="local"), data)
    try:
        loop.run(broker.start(), 900)
        yield broker.address
        loop.run(broker.stop(), 30)
    finally:
        loop.close()
        shutil.rmtree(data, ignore_errors=True)
