"""A Kafka cluster that somebody else runs."""

from bus import admin
from bus.brokers.port import OnRestart, OnReturn


class ExternalBroker:
    """Broker: `start` finds out whether it answers and which cluster it is. It is never started or stopped."""

    is_embedded = False

    def __init__(self, address: str) -> None:
        self.name = "broker"
        self.address = address
        self.incarnation = "external"

    @property
    def is_ready(self) -> bool:
        return ":" in self.incarnation

    def on_restart(self, callback: OnRestart) -> None:
        """Never called: its clients find their way back by themselves."""

    def on_return(self, callback: OnReturn) -> None:
        """Never called: nobody tells us when it was away."""

    async def start(self) -> None:
        """Raises BrokerUnavailable."""
        self.incarnation = f"external:{await admin.cluster_id(self.address)}"

    async def drain(self) -> None:
        """Nothing to do."""

    async def stop(self) -> None:
        """Nothing to do."""
