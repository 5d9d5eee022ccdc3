"""The seed corpus of the fuzzer, each as it is and with damage, through what the fuzzer checks."""

from pathlib import Path
from random import Random

import pytest

from tests.fuzz import check

SEEDS = sorted((Path(__file__).parents[1] / "seeds").glob("*.eml"))


@pytest.mark.parametrize("seed", SEEDS, ids=lambda path: path.stem)
def test_a_seed_whole_cut_and_damaged(seed: Path) -> None:
    raw = seed.read_bytes()
    check(raw)
    for n in range(1, 8):
        check(raw[: len(raw) * n // 8])
    random = Random(seed.stem)
    for _ in range(15):
        damaged = bytearray(raw)
        for _ in range(random.randrange(1, 12)):
            at = random.randrange(len(damaged))
            match random.randrange(3):
                case 0:
                    damaged[at] = random.randrange(256)
                case 1:
                    del damaged[at : at + random.randrange(40)]
                case _:
                    damaged[at:at] = damaged[: random.randrange(60)]
            damaged = damaged or bytearray(b"x")
        check(bytes(damaged))


def test_there_are_seeds() -> None:
    assert len(SEEDS) >= 10
