"""Small questions to the loopback: which port is free, who answers."""

import asyncio
import socket

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from bus.bounded import bounded, let_go
from schemas.errors import BrokerUnavailable

HOST = "127.0.0.1"


def free_port() -> int:
    with socket.create_server((HOST, 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


def is_free(port: int) -> bool:
    try:
        with socket.create_server((HOST, port)):
            return True
    except OSError:
        return False


async def answers(address: str) -> bool:
    """True if a Kafka broker answers at host:port."""
    # A bare connection first: aiokafka logs an error for each one that is refused.
    host, _, port = address.rpartition(":")
    try:
        async with asyncio.timeout(2.0):
            _, writer = await asyncio.open_connection(host, int(port))
    except (OSError, TimeoutError):
        return False
    writer.close()
    client = AIOKafkaClient(bootstrap_servers=address, request_timeout_ms=2_000)
    try:
        await bounded("bootstrap", client.bootstrap(), 3.0)
    except (KafkaError, OSError, BrokerUnavailable):
        return False
    finally:
        await let_go("bootstrap", client.close(), 2.0)
    return True
