"""Which fault hits what, when and for how long: all of it from the seed. Pure, so that a seed replays its run."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["kill", "pause", "reset", "silence", "slow", "lock", "refuse"]


@dataclass(frozen=True, slots=True)
class Fault:
    """`at`: the share of the interactions that must have been accepted. `seconds`: how long until it heals; a killed
    process is started again then (one with a supervisor comes back by itself). `detail`: which answer, which end."""

    number: int
    at: float
    kind: Kind
    target: str
    seconds: float
    detail: str = ""

    def __str__(self) -> str:
        words = f"{self.kind} {self.target}" + (f" ({self.detail})" if self.detail else "")
        return f"#{self.number} at {self.at:.1%}: {words} for {self.seconds:.1f} s"


SECONDS: Mapping[Kind, tuple[float, float]] = {
    "kill": (0.0, 1.5),
    "pause": (0.3, 6.0),
    "reset": (0.0, 3.0),
    "silence": (0.5, 6.0),
    "slow": (1.0, 6.0),
    "lock": (0.5, 4.0),
    "refuse": (0.5, 4.0),
}
LONG = 0.08
"""So many pauses outlast a lease and a consumer's session: whoever wakes from one has been replaced."""
LONG_S = (16.0, 36.0)
ANSWERS = ("connect: 421 busy", "RCPT: 451 later", "DATA: 451 later", "dot: 451 later", "dot: reset", "stored: reset")
"""What the customers' mail server says instead, and where; after `stored` it has kept the mail."""
ENDS: Mapping[Kind, Sequence[str]] = {"refuse": ANSWERS, "silence": ("heals", "ends with RST")}


def plan(seed: int, count: int, targets: Mapping[Kind, Sequence[str]]) -> list[Fault]:
    """`count` faults over the whole run. `targets`: what can be hit, by kind; each target gets its share."""
    dice = random.Random(f"faults:{seed}")
    pairs = [(kind, target) for kind in sorted(targets) for target in targets[kind]]
    deck: list[tuple[Kind, str]] = []
    while len(deck) < count:  # every pair once before any comes again: a short run, too, hits many things
        dice.shuffle(pairs)
        deck += pairs
    moments = sorted(dice.uniform(0.02, 0.98) for _ in range(count))
    return [_fault(dice, number, at, *deck[number]) for number, at in enumerate(moments)]


def _fault(dice: random.Random, number: int, at: float, kind: Kind, target: str) -> Fault:
    long = kind == "pause" and dice.random() < LONG
    seconds = round(dice.uniform(*(LONG_S if long else SECONDS[kind])), 2)
    return Fault(number, round(at, 4), kind, target, seconds, dice.choice(ENDS[kind]) if kind in ENDS else "")
