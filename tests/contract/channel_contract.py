"""What every channel promises: an acknowledgement means that it is on disk. Inherited by a test class per channel."""

import asyncio
from typing import ClassVar, Protocol

from tests.kit.edge import Edge

HOSTILE = [
    b"\xff\xfe\x00\x01",
    b"{" * 5000,
    "\u202eevil\u0000\ud83d".encode("utf-8", "surrogatepass"),
    b"=cmd|'/c calc'!A1\r\n.\r\n\r\nRCPT TO:<x>\r\n",
    b"<script>alert(1)</script>{{7*7}}${jndi:ldap://x}",
    "क्षि ﷽ 👩‍👩‍👧‍👦 ".encode() * 50,
]


class Door(Protocol):
    """How a customer uses the channel."""

    name: str
    edge: Edge

    async def send(self, key: str, text: str) -> bool:
        """Send one contact under a native id; True if it was acknowledged as accepted."""
        ...

    async def hurl(self, data: bytes) -> None:
        """Throw bytes at the door; whatever it answers, it must answer (or hang up) soon."""
        ...

    async def oversize(self) -> bool:
        """Send more than the limit; True if that was refused with a clear error."""
        ...


class ChannelContract:
    refuses_oversize: ClassVar[bool] = True

    async def test_what_is_acknowledged_is_in_the_ledger(self, door: Door) -> None:
        for n in range(5):
            assert await door.send(f"key-{n}", f"message {n}")
        assert await door.edge.accepted(door.name) == 5
        assert (await door.edge.balance()).balanced

    async def test_the_same_contact_again_is_a_copy(self, door: Door) -> None:
        for _ in range(3):
            assert await door.send("same-key", "the same words")
        total = (await door.edge.balance()).total
        assert (total.accepted, total.copies) == (1, 2)

    async def test_while_the_store_is_away_nothing_is_acknowledged_and_nothing_is_lost(self, door: Door) -> None:
        door.edge.intake.away = True
        assert not await door.send("key-away", "are you there?")
        assert await door.edge.accepted(door.name) == 0
        door.edge.intake.away = False
        assert await door.send("key-away", "are you there?")
        assert await door.edge.accepted(door.name) == 1

    async def test_hostile_bytes_do_not_stop_it(self, door: Door) -> None:
        for data in HOSTILE:
            async with asyncio.timeout(10):
                await door.hurl(data)
        assert await door.send("after", "still alive?")
        assert (await door.edge.balance()).balanced

    async def test_too_much_is_refused_with_a_clear_error(self, door: Door) -> None:
        if self.refuses_oversize:
            async with asyncio.timeout(20):
                assert await door.oversize()
        assert await door.send("after", "still alive?")
