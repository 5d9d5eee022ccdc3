"""The checker is checked: each planted bug has to be found out, by a short run with the faults that bring it out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.chaos.planted import BUGS
from tests.chaos.run import Options, run
from tests.chaos.schedule import Fault
from tests.chaos.site import HouseSite

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(180)]


@dataclass(frozen=True)
class Case:
    """`caught_by`: what the checker has to say, at least one of it; everything else may follow from it."""

    faults: Sequence[Fault]
    caught_by: Sequence[str]
    dawdles: float | None = None
    interactions: int = 100


CASES = {
    "ack_before_confirm": Case([Fault(0, 0.6, "kill", "router", 0.1)], ["I6 acked early"]),
    "retry_after_dot": Case([Fault(0, 0.05, "refuse", "smtp", 8.0, "stored: reset")], ["I2 mail twice"]),
    "no_dedupe": Case([], ["I1 accepted twice"], interactions=50),
    "stale_epoch": Case([], ["I7 stale epoch"], dawdles=0.4, interactions=60),
    "publish_out_of_seq": Case([Fault(0, 0.05, "pause", "broker", 4.0)], ["I3 out of order", "I3 lane out of order"]),
}


@pytest.mark.parametrize("bug", BUGS)
async def test_a_planted_bug_is_caught(bug: str, tmp_path: Path) -> None:
    case = CASES[bug]
    options = Options(
        seed=7,
        interactions=case.interactions,
        rate=100.0,
        schedule=case.faults,
        dawdles=case.dawdles,
        patience_s=8.0,
    )
    result = await run(options, lambda folder, mail: HouseSite(folder, mail, bug=bug), tmp_path / "results")
    found = {f"{violation.invariant} {violation.kind}" for violation in result.violations}
    assert found & set(case.caught_by), f"not caught; all that was found: {sorted(found)}"
