"""A whole installation in a test: the example configuration on free loopback ports, in this process or its own."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import yaml

from store import agents
from store.database import Database
from switchboard.demo.guest import guest_router
from switchboard.demo.mail import CustomersMailServer
from switchboard.demo.players import Town
from switchboard.demo.stage import Stage, set_up
from switchboard.house import House
from switchboard.settings import load

ROOT = Path(__file__).parents[2]


@dataclass
class Running:
    """`house` in this process; `town` is how customers reach it; `token` is an agent's."""

    house: House
    stage: Stage
    town: Town
    mail: CustomersMailServer
    token: str

    @property
    def database(self) -> Database:
        return self.house.base.database


@asynccontextmanager
async def running(
    folder: Path, *, demo: bool = False, brokers: str | None = None, undo: str | None = None
) -> AsyncIterator[Running]:
    """Everything under one roof, with an agent called `ada`. `brokers` as in `kafka.brokers`, `undo` as in
    `desk.undo`."""
    mail = CustomersMailServer()
    await mail.start()
    stage = set_up(port=0, relay_port=mail.port, folder=folder, brokers=brokers)
    if undo is not None:
        tree = yaml.safe_load(stage.config.read_text(encoding="utf-8"))
        tree["desk"]["undo"] = undo
        stage.config.write_text(yaml.safe_dump(tree, sort_keys=False, allow_unicode=True), encoding="utf-8")
    token = agents.new_token()
    house = House(load(stage.config), extra=[guest_router(token)] if demo else [], demo=demo)
    await house.lifecycle.start()
    try:
        now = house.base.clock.now()
        await house.base.database.write(lambda conn: agents.add(conn, "ada", at=now))
        await house.base.database.write(lambda conn: agents.add_token(conn, "ada", token, at=now))
        yield Running(house, stage, Town(stage.http, stage.smtp_port, stage.calls, mail), mail, token)
    finally:
        report = await house.lifecycle.stop()
        await mail.stop()
        assert report.clean, report


class Process:
    """`switchboard run` as a process of its own, which can be killed with all its children."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self._process: asyncio.subprocess.Process | None = None

    async def start(self, timeout: float = 60.0) -> None:
        """Return when /readyz says so."""
        log = (self.stage.folder / "run.log").open("ab")
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "switchboard",
            "--config",
            str(self.stage.config),
            "run",
            cwd=ROOT,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        log.close()
        async with asyncio.timeout(timeout), aiohttp.ClientSession() as session:
            while True:
                assert self._process.returncode is None, (self.stage.folder / "run.log").read_text()[-4000:]
                try:
                    async with session.get(f"{self.stage.http}/readyz") as response:
                        if response.status == 200:
                            return
                except aiohttp.ClientError:
                    pass
                await asyncio.sleep(0.1)

    async def kill(self) -> None:
        """kill -9 of the whole set-up at once: main process, router and broker."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()

    async def stop(self, timeout: float = 40.0) -> int:
        """SIGTERM; the exit status."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(timeout):
            return await self._process.wait()
