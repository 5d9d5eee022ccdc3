"""A process whose loop stands still ends; one whose loop turns does not."""

import subprocess
import sys

import pytest

PROGRAM = """
import asyncio, re, time
from runtime.loop_watch import LoopWatch

async def main():
    watch = LoopWatch({after})
    await watch.start()
    await asyncio.sleep(0)
    {then}
    await watch.stop()
    print("came to its end")

def block():
    {block}

asyncio.run(main())
"""


def run(after: float, then: str, block: str = "pass") -> subprocess.CompletedProcess[str]:
    program = PROGRAM.format(after=after, then=then, block=block)
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("block", ["time.sleep(50)", "re.match('(a*)*b', 'a' * 60)", "while True: pass"])
def test_a_loop_that_something_blocks_ends_the_process_and_shows_what(block: str) -> None:
    done = run(0.3, "block()", block)
    assert done.returncode == 1
    assert "in block" in done.stderr


def test_a_loop_that_turns_goes_on_and_after_the_stop_nothing_goes_off() -> None:
    done = run(0.3, "await asyncio.sleep(0.9)")
    assert (done.returncode, done.stdout) == (0, "came to its end\n")
