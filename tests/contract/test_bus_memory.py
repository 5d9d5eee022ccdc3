import pytest

from bus.memory import MemoryBus
from bus.topics import TOPICS
from tests.contract.bus_contract import PARTITIONS, BusContract


class TestMemoryBus(BusContract):
    @pytest.fixture
    async def harness(self) -> MemoryBus:
        bus = MemoryBus()
        await bus.apply(TOPICS, PARTITIONS)
        return bus
