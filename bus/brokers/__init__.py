"""Where the broker comes from."""

from bus.brokers.embedded import EmbeddedBroker
from bus.brokers.external import ExternalBroker
from bus.brokers.port import Broker, OnRestart
from bus.settings import KafkaSettings
from schemas.errors import ConfigError

__all__ = ["Broker", "EmbeddedBroker", "ExternalBroker", "OnRestart", "open_broker"]


def open_broker(settings: KafkaSettings) -> Broker:
    """The broker that the settings name, not yet started. Raises ConfigError for `local`."""
    match settings.kind:
        case "embedded":
            return EmbeddedBroker(settings)
        case "external":
            return ExternalBroker(settings.brokers)
        case "local":
            raise ConfigError(
                ["kafka.brokers: `local` comes with a later version"],
                hint="Use embedded, or the address of a Kafka cluster.",
            )
