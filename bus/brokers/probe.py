"""Small questions to the loopback: which port is free, who answers."""

import asyncio
import random
import socket
from pathlib import Path

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from bus.bounded import bounded, let_go
from schemas.errors import BrokerUnavailable

HOST = "127.0.0.1"
_ROOM, _TRIES = 20_000, 50


_OUTGOING = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_port() -> int:
    """A port on which nobody listens. Below those that Linux gives to outgoing connections, where it can be known: one
    of these may be somebody's by the time that we listen."""
    try:
        first = int(_OUTGOING.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        first = 0
    for _ in range(_TRIES if first >= _ROOM else 0):
        port = random.randrange(first - _ROOM // 2, first)  # noqa: S311 - no secret
        if is_free(port):
            return port
    with socket.create_server((HOST, 0)) as probe:
        return int(probe.getsockname()[1])


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
