"""The repository keeps its own promises: layers, names, compose file, wheel contents, makefile."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.kit.command_line import verbs

ROOT = Path(__file__).parents[2]
ROOMS = ("agents", "bus", "channels", "ops", "router", "rules", "runtime", "schemas", "store", "switchboard")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def sources(*rooms: str) -> list[Path]:
    return [path for room in rooms for path in (ROOT / room).rglob("*.py")]


def test_the_layers_hold() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    found = subprocess.run([lint], cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert found.returncode == 0, found.stdout


def test_the_wheel_the_checkers_and_the_folders_list_the_same_rooms() -> None:
    wheel = PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    folders = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
    assert folders == set(ROOMS)
    assert set(wheel["only-include"]) == {*ROOMS, "examples/config"}
    assert {*wheel["sources"], "switchboard"} == {*ROOMS, "examples/config"}
    assert set(PYPROJECT["tool"]["mypy"]["packages"]) == set(ROOMS)
    assert set(PYPROJECT["tool"]["importlinter"]["root_packages"]) == set(ROOMS)


def test_faust_agents_are_made_in_one_place_and_acknowledge_by_hand() -> None:
    """An exception in a Faust agent drops its event, so nobody makes an agent but the one wrapper."""
    makers = [path for path in sources(*ROOMS) if re.search(r"\.agent\(", path.read_text(encoding="utf-8"))]
    assert [path.relative_to(ROOT).as_posix() for path in makers] == ["router/hosts/faust_host.py"]
    text = makers[0].read_text(encoding="utf-8")
    assert text.count(".agent(") == 1
    assert ".noack()" in text
    assert "concurrency=1" in text


def test_pure_rooms_ask_no_clock_no_dice_and_no_environment() -> None:
    forbidden = re.compile(r"datetime\.now|time\.time\(|\brandom\.|os\.environ|utcnow")
    for path in sources("rules", "schemas", "router/core"):
        assert not forbidden.search(path.read_text(encoding="utf-8")), path


def test_only_the_state_owners_write_states() -> None:
    tables = {
        "interactions": ("ledger.py",),
        "deliveries": ("deliveries.py", "attempts.py"),
        "work_items": ("work_items.py", "enqueue.py"),
    }
    for path in sources("store", "router", "channels", "agents", "ops", "switchboard"):
        text = path.read_text(encoding="utf-8")
        for table, owners in tables.items():
            if path.name not in owners:
                assert not re.search(rf"update\({table}\)|(?<![\w.]){table}\.insert\(", text), f"{path} writes {table}"


def test_no_file_names_a_package_index() -> None:
    constraints = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    assert "://" not in constraints
    assert all(re.fullmatch(r"#.*|[\w.-]+==[\w.+!-]+", line) for line in constraints.splitlines())


def test_compose_speaks_the_command_line_that_there_is() -> None:
    from switchboard.house import ROLES

    commands = verbs()
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    roles: list[str] = []
    for name, service in compose["services"].items():
        if "build" not in service:
            continue
        verb, *rest = service["command"].split()
        assert verb in commands, f"{name}: {verb}"
        if verb == "run":
            roles += rest
        else:
            assert all(word in commands[verb] for word in rest), f"{name}: {service['command']}"
    assert sorted(roles) == sorted(ROLES), "every role runs somewhere, once"


def test_compose_sets_only_what_the_configuration_knows() -> None:
    from rules.load import SECTIONS
    from switchboard.settings import Settings

    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    for variable in compose["x-switchboard"]["environment"]:
        section = variable.removeprefix("SWITCHBOARD_").lower().partition("__")[0]
        assert section == "config" or section in {*Settings.model_fields, *SECTIONS}, variable


@pytest.mark.parametrize("name", ["demo", "run", "test", "lint", "bench", "ci", "corpus"])
def test_make_knows(name: str) -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(rf"^{name}:", text, re.MULTILINE)


def test_old_pythons_are_told_so() -> None:
    text = (ROOT / "switchboard" / "__main__.py").read_text(encoding="utf-8")
    compile(text, "__main__", "exec")
    assert not re.search(r"\) ->|: str\b|\bmatch \w", text), "must parse on Pythons that are too old"
    assert "Switchboard needs Python 3.11 or newer" in text
