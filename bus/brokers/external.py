"""A Kafka cluster that somebody else runs."""

from bus import admin
from bus.brokers.port import OnRestart, OnReturn
from bus.topics import TOPICS
from schemas.errors import BrokerUnavailable


class ExternalBroker:
    """Broker: `start` finds out whether it answers, which cluster it is, and whether it has its topics: those who read
    from one that is made later do not hear of it for minutes. It is never started or stopped."""

    is_embedded = False

    def __init__(self, address: str) -> None:
        self.name = "broker"
        self.address = address
        self.incarnation = "external"

    @property
    def awaits(self) -> str:
        """It may come later than we do."""
        return f"Kafka at {self.address}"

    @property
    def is_ready(self) -> bool:
        return ":" in self.incarnation

    def on_restart(self, callback: OnRestart) -> None:
        """Never called: its clients find their way back by themselves."""

    def on_return(self, callback: OnReturn) -> None:
        """Never called: nobody tells us when it was away."""

    async def start(self) -> None:
        """Raises BrokerUnavailable."""
        cluster, missing = await admin.standing(self.address, TOPICS)
        if missing:
            raise BrokerUnavailable(
                f"Kafka at {self.address} does not have the topics {', '.join(missing)}",
                hint=f"switchboard topics apply --brokers {self.address}",
            )
        self.incarnation = f"external:{cluster}"

    async def drain(self) -> None:
        """Nothing to do."""

    async def stop(self) -> None:
        """Nothing to do."""
