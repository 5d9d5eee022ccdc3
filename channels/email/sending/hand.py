"""What a sender has in hand of one account: fetched from the ledger, and waiting in memory for its turn."""

from collections.abc import Callable

from channels.email.sending.domains import domain_of

MOST = 5000
OF_DOMAIN = 100
"""Of one domain; a look may bring as many again."""
OF_SLOW = 10
"""Of one that is slow: others must find room, however many are."""

Place = tuple[str, str]
"""Reply, recipient."""


class Hand:
    def __init__(self) -> None:
        self.places: set[Place] = set()
        self._at: dict[str, set[Place]] = {}

    def add(self, place: Place) -> None:
        self.places.add(place)
        self._at.setdefault(domain_of(place[1]), set()).add(place)

    def remove(self, place: Place) -> None:
        self.places.discard(place)
        domain = domain_of(place[1])
        there = self._at[domain]
        there.discard(place)
        if not there:
            del self._at[domain]

    def full(self, is_slow: Callable[[str], bool]) -> list[str]:
        """Domains of which there is enough in hand, as the ledger has them."""
        enough = [
            there
            for domain, there in self._at.items()
            if len(there) >= OF_SLOW and (len(there) >= OF_DOMAIN or is_slow(domain))
        ]
        return sorted({recipient.rpartition("@")[2] for there in enough for _, recipient in there})
