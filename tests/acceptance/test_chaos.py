"""A short chaos run on the whole system under one command. `make chaos` has the long one, on processes by role."""

from pathlib import Path

import pytest

from tests.chaos.run import Options, run
from tests.chaos.schedule import Fault
from tests.chaos.site import HouseSite

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(240)]

FAULTS = [
    Fault(0, 0.2, "refuse", "smtp", 3.0, "stored: reset"),
    Fault(1, 0.4, "kill", "router", 0.0),
    Fault(2, 0.5, "lock", "database", 1.0),
    Fault(3, 0.6, "kill", "house", 0.5),
    Fault(4, 0.8, "pause", "broker", 1.0),
]


async def test_nothing_is_lost_or_doubled_while_everything_is_hit(tmp_path: Path) -> None:
    options = Options(seed=1, interactions=100, schedule=FAULTS, patience_s=60.0)
    result = await run(options, HouseSite, tmp_path / "results")
    assert result.violations == []
    assert result.contacts == 100
    assert [recovery.fault for recovery in sorted(result.recoveries, key=lambda r: r.fault.number)] == FAULTS
    assert (tmp_path / "results" / "history.jsonl").stat().st_size > 0
