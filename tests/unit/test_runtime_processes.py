import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from runtime import processes
from runtime.processes import ChildProcess, Command, ProcessFailedError, RestartPolicy
from tests.kit.processes import alive, gone

QUICK = RestartPolicy(base_s=0.01, cap_s=0.05, max_deaths=3, healthy_s=0.5)


def python(code: str, **env: str) -> Command:
    return Command((sys.executable, "-c", code), env)


async def until(condition: object, timeout: float = 5.0) -> None:
    async with asyncio.timeout(timeout):
        while not condition():  # type: ignore[operator]
            await asyncio.sleep(0.01)


async def test_runs_with_its_own_environment_and_stops(tmp_path: Path) -> None:
    out = tmp_path / "env"
    code = f"import os,time; open({str(out)!r},'w').write(os.environ['A']+str('HOME' in os.environ)); time.sleep(60)"
    child = ChildProcess("child", lambda: python(code, A="1"))
    await child.start()
    await until(lambda: out.exists() and out.read_text())
    assert out.read_text() == "1False"
    pid = child.pid
    assert pid is not None
    assert child.is_ready
    await child.drain()
    await child.stop()
    assert await gone([pid])
    assert child.pid is None


async def test_comes_back_after_a_death_with_a_fresh_command() -> None:
    asked: list[int] = []
    exits: list[int] = []
    readies: list[int] = []

    def command() -> Command:
        asked.append(1)
        return python("import time; time.sleep(60)")

    async def ready() -> None:
        readies.append(1)

    async def on_exit(status: int) -> None:
        exits.append(status)

    child = ChildProcess("child", command, restart=QUICK, ready=ready, on_exit=on_exit)
    await child.start()
    first = child.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await until(lambda: child.is_ready and child.pid != first)
    assert (len(asked), len(readies), exits) == (2, 2, [-9])
    await child.stop()
    assert exits == [-9], "a stop is no death"


async def test_gives_up_after_too_many_deaths_and_says_so() -> None:
    child = ChildProcess("child", lambda: python("raise SystemExit(7)"), restart=QUICK)
    await child.start()
    error = await asyncio.wait_for(child.failed(), 10)
    assert isinstance(error, ProcessFailedError)
    assert "status 7 (3 in a row)" in str(error)
    await child.stop()


async def test_what_was_ready_once_is_tried_for_ever_where_that_is_wanted(tmp_path: Path) -> None:
    """A broker whose port somebody else had for a minute took every door down with it."""
    policy = RestartPolicy(base_s=0.001, cap_s=0.01, max_deaths=3, healthy_s=60.0, for_ever=True)
    lives = tmp_path / "lives"
    code = f"open({str(lives)!r}, 'a').write('x'); raise SystemExit(7)"
    child = ChildProcess("child", lambda: python(code), restart=policy)
    await child.start()
    await until(lambda: lives.exists() and len(lives.read_text()) > 6, 20)
    await child.stop()

    async def never() -> None:
        raise ConnectionError("never")

    child = ChildProcess("child", lambda: python(code), restart=policy, ready=never)
    with pytest.raises(ProcessFailedError, match="3 in a row"):
        await child.start()
    await child.stop()


@pytest.mark.parametrize("argv", [("/nowhere/at/all",), (sys.executable, "-c", "raise SystemExit(2)")])
async def test_a_start_that_never_becomes_ready_raises(argv: tuple[str, ...]) -> None:
    async def never() -> None:
        await asyncio.Event().wait()

    child = ChildProcess("child", lambda: Command(argv, {}), ready=never)
    with pytest.raises(ProcessFailedError, match="before it was ready"):
        await child.start()
    await child.stop()


async def test_not_ready_in_time_is_killed() -> None:
    pids: list[int] = []

    async def never() -> None:
        pids.append(child.pid or 0)
        await asyncio.Event().wait()

    child = ChildProcess("c", lambda: python("import time; time.sleep(60)"), ready=never, ready_timeout_s=0.2)
    with pytest.raises(ProcessFailedError, match="not ready within"):
        await child.start()
    await child.stop()
    assert await gone(pids)


async def test_a_process_deaf_to_sigterm_is_killed() -> None:
    code = "import signal,time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
    child = ChildProcess("deaf", lambda: python(code), stop_timeout_s=0.2)
    await child.start()
    await asyncio.sleep(0.3)
    pid = child.pid
    assert pid is not None
    await asyncio.wait_for(child.stop(), 5)
    assert await gone([pid])


async def test_endless_output_without_a_newline_is_bounded() -> None:
    code = "import sys,time; sys.stdout.write('x'*3_000_000); sys.stdout.flush(); time.sleep(60)"
    child = ChildProcess("loud", lambda: python(code))
    await child.start()
    await asyncio.sleep(0.3)
    assert child.pid is not None
    await asyncio.wait_for(child.stop(), 5)


PARENT = """
import asyncio, sys
sys.path.insert(0, {root!r})
from runtime.logs import LogSettings, configure_logs
from runtime.processes import ChildProcess, Command
configure_logs(LogSettings())
async def main():
    child = ChildProcess("child", lambda: Command((sys.executable, "-c", "import time; time.sleep(60)"), {{}}))
    await child.start()
    await asyncio.sleep(0.3)
    print(child.pid, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


async def test_the_child_dies_with_a_parent_that_is_killed() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT.format(root=os.getcwd())], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    pid = int(await asyncio.to_thread(parent.stdout.readline))
    assert alive(pid)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert await gone([pid])


async def test_what_a_process_said_last_is_shown_when_it_ends_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[dict[str, object]] = []
    monkeypatch.setattr(processes.log, "warning", lambda event, **more: shown.append({"event": event, **more}))
    code = "import sys; [print(n, flush=True) for n in range(100)]; sys.exit('the loop stood still')"
    child = ChildProcess("child", lambda: python(code), restart=RestartPolicy(base_s=0.01, max_deaths=1))
    with contextlib.suppress(ProcessFailedError):
        await child.start()
    await until(lambda: shown)
    await child.stop()
    last = str(shown[0]["last"]).splitlines()
    assert (shown[0]["event"], shown[0]["process"], len(last)) == ("process ended", "child", 40)
    assert "the loop stood still" in last
