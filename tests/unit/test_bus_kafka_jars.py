"""What a local Kafka needs from the machine, and what is said when it is not there."""

import asyncio
import stat
from pathlib import Path

import pytest

from bus.brokers import kafka_jars
from schemas.errors import BrokerUnavailable, ConfigError


def program(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def bin_(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on the path; a cache of its own."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setattr(kafka_jars.shutil, "which", lambda name, path=None: _which(folder, name))
    return folder


def _which(folder: Path, name: str) -> str | None:
    return str(folder / name) if (folder / name).exists() else None


JAVA = "echo 'openjdk version \"17.0.15\" 2025-04-15' >&2"


async def test_without_java_it_says_what_to_install(bin_: Path) -> None:
    with pytest.raises(ConfigError, match="needs Java 17 or newer, and there is no") as caught:
        await kafka_jars.program()
    assert "default-jre-headless maven" in caught.value.hint


@pytest.mark.parametrize(("version", "found"), [("11.0.2", "11"), ("1.8.0_292", "8")])
async def test_an_old_java_is_refused(bin_: Path, version: str, found: str) -> None:
    program(bin_, "java", f"echo 'openjdk version \"{version}\"' >&2")
    with pytest.raises(ConfigError, match=f"is {found}$"):
        await kafka_jars.program()


async def test_without_maven_it_says_so(bin_: Path) -> None:
    program(bin_, "java", JAVA)
    with pytest.raises(ConfigError, match="needs Maven"):
        await kafka_jars.program()


async def test_mavens_own_words_are_shown_when_it_fails_and_nothing_is_left(bin_: Path) -> None:
    program(bin_, "java", JAVA)
    program(bin_, "mvn", "echo 'Could not resolve host'; exit 1")
    with pytest.raises(BrokerUnavailable, match="Could not resolve host"):
        await kafka_jars.program()
    assert not kafka_jars.folder().exists()
    assert list(kafka_jars.folder().parent.iterdir()) == []


async def test_what_was_fetched_once_is_not_fetched_again_and_progress_is_told(bin_: Path) -> None:
    program(bin_, "java", JAVA)
    lines = 'for n in 1 2 3 4 5 6 7 8 9 10; do echo "Downloaded from central: http://x/$n.jar (1 kB)"; done'
    fetch = 'for a in "$@"; do case $a in -DoutputDirectory=*) mkdir -p "${a#*=}"; esac; done'
    program(bin_, "mvn", f"{lines}\n{fetch}")
    said: list[str] = []
    first = await kafka_jars.program(said.append)
    assert said[-1] == "10 files"
    (bin_ / "mvn").unlink()
    assert await kafka_jars.program() == first
    assert first.jars.is_dir()


async def test_two_that_start_together_fetch_it_once(bin_: Path, tmp_path: Path) -> None:
    program(bin_, "java", JAVA)
    fetch = 'for a in "$@"; do case $a in -DoutputDirectory=*) mkdir -p "${a#*=}"; esac; done'
    program(bin_, "mvn", f"echo fetched >> {tmp_path}/fetches\n{fetch}")
    first, second = await asyncio.gather(kafka_jars.program(), kafka_jars.program())
    assert first == second
    assert (tmp_path / "fetches").read_text() == "fetched\n"
