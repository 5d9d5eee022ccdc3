from collections.abc import AsyncIterator

import pytest

from tests.contract.bus_contract import PARTITIONS, BusContract
from tests.kit.broker import BrokerHarness, emptied


@pytest.mark.acceptance
@pytest.mark.kafka
class TestApacheKafka(BusContract):
    @pytest.fixture
    async def harness(self, kafka_server: str) -> AsyncIterator[BrokerHarness]:
        async with emptied(kafka_server, PARTITIONS) as running:
            yield running
