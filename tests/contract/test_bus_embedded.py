from collections.abc import AsyncIterator

import pytest

from bus.settings import KafkaSettings
from tests.contract.bus_contract import PARTITIONS, BusContract
from tests.kit.broker import EmbeddedHarness, embedded


@pytest.mark.acceptance
class TestEmbeddedBroker(BusContract):
    @pytest.fixture
    async def harness(self) -> AsyncIterator[EmbeddedHarness]:
        async with embedded(KafkaSettings(partitions=PARTITIONS)) as running:
            yield running
