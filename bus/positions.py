"""Where a group stands, in the broker's own words: what it has committed, and where the logs end."""

from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from bus.bounded import bounded, let_go
from bus.records import Place
from bus.safety import consumer_options
from schemas.errors import BrokerUnavailable

TIMEOUT_S = 10.0


async def positions(
    address: str, group: str, topics: Sequence[str], *, partitions: int, embedded: bool
) -> Mapping[Place, tuple[int, int]]:
    """Partition → (committed offset, end of the log); 0 is committed where nothing is. Joins no group.

    `partitions` is how many each topic has, as configured.

    Raises BrokerUnavailable.
    """
    consumer = AIOKafkaConsumer(**consumer_options(address, group, embedded=embedded))
    try:
        return await bounded(f"positions ({address})", _ask(consumer, topics, partitions), TIMEOUT_S)
    except (KafkaError, OSError) as error:
        raise BrokerUnavailable(f"positions: no answer from {address}: {error}") from error
    finally:
        await let_go("positions", consumer.stop(), 2.0)


async def _ask(consumer: Any, topics: Sequence[str], count: int) -> dict[Place, tuple[int, int]]:
    await consumer.start()
    there = await consumer.topics()  # list before asking about one: a broker may create what is asked about
    places = [TopicPartition(topic, partition) for topic in topics if topic in there for partition in range(count)]
    consumer.assign(places)  # by hand, so that the group is not joined
    ends = await consumer.end_offsets(places)
    return {(place.topic, place.partition): (await consumer.committed(place) or 0, ends[place]) for place in places}
