"""Who writes what: the whole cast of a run, from its seed. Pure."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Channel = Literal["email", "chat", "web_form", "phone_log"]
Expect = Literal["answer", "closed", "held", "call"]

SHARES: dict[Channel, float] = {"email": 0.4, "chat": 0.3, "web_form": 0.2, "phone_log": 0.1}
HOURS = "Hello, what are your opening hours?"
SPAM = "Congratulations, you have won. Claim your prize now."
AWAY = "I am out of the office until Monday."


@dataclass(frozen=True, slots=True)
class Message:
    """`id` is the contact's own: a Message-ID, a client's message id, an idempotency key, a call id.

    `pause`: seconds after the one before. `copy`: it is sent once more, as if the first answer had been overlooked.
    """

    id: str
    text: str
    expect: Expect
    pause: float
    copy: bool


@dataclass(frozen=True, slots=True)
class Customer:
    """One customer, with one thread. `patient`: reads the answer before writing again."""

    name: str
    channel: Channel
    messages: tuple[Message, ...]
    patient: bool
    dice: int
    """Seeds what the customer decides on the way."""

    @property
    def address(self) -> str:
        return f"{self.name}@town{self.dice % 97}.example"

    @property
    def asks_a_machine(self) -> bool:
        """All that is written is a question that a rule answers for good."""
        return [message.text for message in self.messages] == [HOURS]


def cast(seed: int, interactions: int) -> list[Customer]:
    """Customers who together write `interactions` contacts, in the order in which they come."""
    dice = random.Random(f"cast:{seed}")
    left = dict(zip(SHARES, _split(interactions), strict=True))
    people: list[Customer] = []
    while any(left.values()):
        channel: Channel = dice.choices(list(left), list(left.values()))[0]
        customer = _customer(dice, channel, len(people), left[channel])
        left[channel] -= len(customer.messages)
        people.append(customer)
    return people


def _split(interactions: int) -> list[int]:
    counts = [int(interactions * share) for share in SHARES.values()]
    counts[0] += interactions - sum(counts)
    return counts


def _customer(dice: random.Random, channel: Channel, number: int, most: int) -> Customer:
    name = f"{channel[0]}{number}"
    threaded = channel in ("email", "chat")
    count = min(most, dice.choices((1, 2, 3, 4), (5, 3, 2, 1))[0]) if threaded else 1
    first: tuple[str, Expect] = (HOURS, "answer")
    roll = dice.random()
    if channel == "email" and roll < 0.04:
        first, count = ((AWAY, "closed") if roll < 0.02 else (SPAM, "held")), 1
    elif channel == "phone_log":
        first = ("voicemail: please call back about a repair", "call")
    elif roll < 0.6:
        first = (f"Hello, do you have number {number} in green?", "answer")
    messages = tuple(_messages(dice, channel, name, first, count))
    return Customer(name, channel, messages, dice.random() < 0.3, dice.randrange(2**31))


def _messages(
    dice: random.Random, channel: Channel, name: str, first: tuple[str, Expect], count: int
) -> Iterator[Message]:
    for n in range(1, count + 1):
        text, expect = first if n == 1 else (f"One more thing, the {n}th: is it still there?", "answer")
        id_ = f"{name}.{n}@chaos.example" if channel == "email" else f"{name}.{n}"
        yield Message(id_, text, expect, dice.choice((0.0, 0.0, 0.2, 1.0)), dice.random() < 0.06)
