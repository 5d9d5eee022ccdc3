"""Apache Kafka's jars and the Java to run them: fetched once by Maven into the user's cache."""

import asyncio
import contextlib
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from runtime.logs import get_logger
from schemas.errors import BrokerUnavailable, ConfigError

VERSION = "4.3.1"
JAVA = 17
_FETCH_TIMEOUT_S = 900.0
_LOOK_S = 0.2
_JAVA_TIMEOUT_S = 20.0
_TAIL = 15
_INSTALL = "On Debian: apt-get install default-jre-headless maven. Or use kafka.brokers: embedded."

# slf4j-simple: without a binding Kafka says nothing about why it does not start.
_POM = f"""<?xml version="1.0" encoding="UTF-8"?>
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>switchboard</groupId>
  <artifactId>local-kafka</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{VERSION}</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
"""

log = get_logger(__name__)
Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class KafkaProgram:
    """What runs Kafka: a Java and the folder with the jars."""

    java: str
    jars: Path

    @property
    def class_path(self) -> str:
        return f"{self.jars}/*"


async def program(report: Report | None = None) -> KafkaProgram:
    """Find Java, and fetch the jars if they are not there; `report` hears how that goes.

    Raises ConfigError when Java or Maven is missing, BrokerUnavailable when Maven does not get them.
    """
    java, _ = await look()
    jars = folder()
    if not jars.is_dir():
        await _fetch(jars, report or (lambda line: log.info("fetching Apache Kafka", progress=line)))
    return KafkaProgram(java, jars)


async def look() -> tuple[str, bool]:
    """(Java, are the jars there), fetching nothing. Raises ConfigError when something is missing to run or to fetch."""
    java = await _java()
    fetched = folder().is_dir()
    if not fetched and shutil.which("mvn") is None:
        raise ConfigError(["kafka.brokers: `local` needs Maven (mvn) to fetch Apache Kafka once"], hint=_INSTALL)
    return java, fetched


def folder() -> Path:
    """Where the jars are, or will be."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "switchboard" / f"kafka-{VERSION}"


async def _java() -> str:
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=f"{home}/bin") if home else None
    java = java or shutil.which("java")
    if java is None:
        raise ConfigError([f"kafka.brokers: `local` needs Java {JAVA} or newer, and there is no `java`"], hint=_INSTALL)
    status, text = await _run([java, "-version"], _JAVA_TIMEOUT_S)
    found = re.search(r'version "(?:1\.)?(\d+)', text)
    if status != 0 or found is None:
        raise ConfigError([f"kafka.brokers: {java} does not say its version: {text.strip()[-200:]}"], hint=_INSTALL)
    if int(found[1]) < JAVA:
        raise ConfigError([f"kafka.brokers: `local` needs Java {JAVA} or newer; {java} is {found[1]}"], hint=_INSTALL)
    return java


async def _fetch(jars: Path, report: Report) -> None:
    mvn = shutil.which("mvn")
    assert mvn is not None, "look() comes first"
    jars.parent.mkdir(parents=True, exist_ok=True)
    async with _alone_in(jars.parent):
        if not jars.is_dir():
            await _fetch_into(jars, mvn, report)


@asynccontextmanager
async def _alone_in(place: Path) -> AsyncIterator[None]:
    """One process fetches and the others wait: Maven's own repository is not made for several at once. Raises
    BrokerUnavailable when the wait gets longer than a fetch may take."""
    number = os.open(place, os.O_RDONLY)
    try:
        async with asyncio.timeout(_FETCH_TIMEOUT_S):
            while True:
                with contextlib.suppress(BlockingIOError):
                    fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                await asyncio.sleep(_LOOK_S)
    except TimeoutError:
        os.close(number)
        raise BrokerUnavailable(f"another process has been fetching Apache Kafka for {_FETCH_TIMEOUT_S:g} s") from None
    try:
        yield
    finally:
        os.close(number)  # which unlocks it


async def _fetch_into(jars: Path, mvn: str, report: Report) -> None:
    # Made beside and renamed in, so that it is there wholly or not at all, whatever happens to us.
    scratch = Path(tempfile.mkdtemp(prefix=".kafka-", dir=jars.parent))
    try:
        (scratch / "pom.xml").write_text(_POM, encoding="utf-8")
        report(f"Apache Kafka {VERSION}, 45 MB, once")
        argv = [mvn, "-B", "dependency:copy-dependencies", f"-DoutputDirectory={scratch / 'jars'}"]
        status, text = await _run(argv, _FETCH_TIMEOUT_S, scratch, _Downloads(report))
        if status != 0:
            last = "\n".join(text.splitlines()[-_TAIL:])
            raise BrokerUnavailable(
                f"Maven did not fetch Apache Kafka (status {status}):\n{last}",
                hint="Is Maven Central, or your mirror of it in ~/.m2/settings.xml, reachable?",
            )
        (scratch / "jars").rename(jars)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


class _Downloads:
    """Turns Maven's output into now and then a line of progress."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._count = 0

    def __call__(self, line: str) -> None:
        if "Downloaded from" in line and ".jar " in line:
            self._count += 1
            if self._count % 10 == 0:
                self._report(f"{self._count} files")


async def _run(
    argv: list[str], timeout: float, cwd: Path | None = None, on_line: Callable[[str], None] | None = None
) -> tuple[int, str]:
    """(exit status, output) of a short-lived program. Raises BrokerUnavailable when it takes too long."""
    process = await asyncio.create_subprocess_exec(
        *argv,
        cwd=cwd,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout is not None
    lines: list[str] = []
    try:
        async with asyncio.timeout(timeout):
            async for raw in process.stdout:
                line = raw.decode("utf-8", "replace").rstrip()
                lines.append(line)
                if on_line is not None:
                    on_line(line)
            status = await process.wait()
    except TimeoutError:
        raise BrokerUnavailable(f"{Path(argv[0]).name}: not done within {timeout:g} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return status, "\n".join(lines)


async def format_storage(kafka: KafkaProgram, properties: Path, cluster_id: str) -> None:
    """Make the log folder that `properties` names a new cluster's. Raises BrokerUnavailable with Kafka's words."""
    argv = [kafka.java, "-Xmx128m", "-XX:TieredStopAtLevel=1", "-cp", kafka.class_path, "kafka.tools.StorageTool"]
    status, text = await _run([*argv, "format", "-t", cluster_id, "-c", str(properties)], 60.0)
    if status != 0:
        raise BrokerUnavailable(f"Kafka did not format its data folder: {text.strip()[-500:]}")
