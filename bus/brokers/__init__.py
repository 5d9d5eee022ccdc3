"""Where the broker comes from."""

from pathlib import Path

from bus.brokers.embedded import EmbeddedBroker
from bus.brokers.external import ExternalBroker
from bus.brokers.local import LocalBroker
from bus.brokers.port import Broker, OnRestart
from bus.settings import KafkaSettings

__all__ = ["Broker", "EmbeddedBroker", "ExternalBroker", "LocalBroker", "OnRestart", "open_broker"]


def open_broker(settings: KafkaSettings, data_dir: Path) -> Broker:
    """The broker that the settings name, not yet started."""
    match settings.kind:
        case "embedded":
            return EmbeddedBroker(settings)
        case "local":
            return LocalBroker(settings, data_dir)
        case "external":
            return ExternalBroker(settings.brokers)
