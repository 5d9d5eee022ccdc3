"""`switchboard demo`: exit status 0 means that everybody was answered and the ledger balances."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.acceptance
@pytest.mark.timeout(180)
def test_the_demo_balances_and_draws_the_readmes_picture(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "switchboard", "demo", "--port", "0", "--svg", str(tmp_path / "demo.svg")]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=170, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "60 accepted = 60 accounted for" in done.stdout
    assert "49 of 49 customers read their answer" in done.stdout
    told = re.findall(r"(\d+)/60 customers wrote in, \d+ accepted, (\d+)/49 answers read", done.stdout)
    assert told[-1] == ("60", "49"), "plain lines where there is no terminal"
    assert "\x1b" not in done.stdout
    picture = (tmp_path / "demo.svg").read_text(encoding="utf-8")
    assert picture.startswith("<svg")
    assert "accepted" in picture
