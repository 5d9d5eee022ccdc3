"""The wheel installs one package, runs from anywhere, and puts no room of ours into site-packages."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)],
        check=True,
        capture_output=True,
        timeout=100,
    )
    (found,) = out.glob("*.whl")
    return found


@pytest.mark.acceptance
def test_nothing_but_switchboard_is_at_the_top(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.split("/")[0] for name in archive.namelist()}
        assert {top for top in tops if not top.endswith(".dist-info")} == {"switchboard"}
        names = set(archive.namelist())
    assert "switchboard/_app/rules/engine.py" in names
    assert "switchboard/_app/examples/config/switchboard.yaml" in names
    assert "switchboard/_app/store/migrations/script.py.mako" in names
    assert any(name.startswith("switchboard/page/static/vendor/") for name in names)
    assert not any("__pycache__" in name or name.startswith("tests") for name in names)


@pytest.mark.acceptance
def test_the_command_runs_from_the_wheel_alone(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    run = [sys.executable, "-P", "-m", "switchboard"]
    # -P and an own folder: nothing of the checkout is on the path but through the editable install's hook,
    # which comes after PYTHONPATH.
    environment = {"PYTHONPATH": str(site), "PATH": "/usr/bin:/bin", "NO_COLOR": "1"}

    def call(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*run, *words], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
        )

    assert call("version").stdout.strip() == "0.1.0"
    made = call("init", "here")
    assert made.returncode == 0, made.stderr
    checked = call("--config", "here/switchboard.yaml", "check", "--json")
    assert checked.returncode == 0, checked.stderr + checked.stdout
    where = subprocess.run(
        [
            sys.executable,
            "-P",
            "-c",
            "import switchboard; print(switchboard.__file__); from switchboard import QueueConsumer",
        ],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert where.stdout.strip().startswith(str(site))
