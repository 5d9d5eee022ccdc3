"""`make chaos`: prints its seed first; `SEED=… make chaos` is the same run again. Exit status 1 on a violation."""

import argparse
import asyncio
import random
import signal
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import orjson
from rich.console import Console
from rich.table import Table

from tests.chaos.fleet_site import FleetSite
from tests.chaos.recovery import percentile
from tests.chaos.run import Options, Result, run
from tests.chaos.site import HouseSite, Site

RESULTS = Path("build/chaos")
SITES: dict[str, Callable[..., Site]] = {"fleet": FleetSite, "house": HouseSite}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos")
    parser.add_argument("--seed", default="", help="replays a run; by chance when there is none")
    parser.add_argument("--interactions", type=int, default=20_000)
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--rate", type=float, default=25.0, help="contacts a second")
    parser.add_argument("--on", choices=SITES, default="fleet", help="separate processes, or all under one command")
    parser.add_argument("--bug", default="", help="one of tests/chaos/planted.py: then it has to fail")
    given = parser.parse_args()
    seed = int(given.seed) if given.seed else random.SystemRandom().randrange(10**6)
    print(f"seed {seed}: SEED={seed} make chaos N={given.interactions} FAULTS={given.faults} ON={given.on}", flush=True)
    options = Options(seed=seed, interactions=given.interactions, faults=given.faults, rate=given.rate)
    folder = RESULTS / str(seed)
    result = asyncio.run(_run(options, lambda at, mail: SITES[given.on](at, mail, bug=given.bug), folder))
    (folder / "summary.json").write_bytes(orjson.dumps(summary(result), option=orjson.OPT_INDENT_2))
    report(result, Console(width=120))
    return 1 if result.violations else 0


async def _run(options: Options, open_site: Callable[..., Site], folder: Path) -> Result:
    """SIGTERM ends it as Ctrl-C does: nothing that it has started may stay behind."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await run(options, open_site, folder)


def summary(result: Result) -> dict[str, object]:
    return {
        "seed": result.options.seed,
        "interactions": result.contacts,
        "faults": dict(_by_kind(result)),
        "seconds": round(result.seconds, 1),
        "unknown": result.unknown,
        "recoveries": [
            {"fault": str(r.fault), "moved_s": r.moved_s, "caught_up_s": r.caught_up_s} for r in result.recoveries
        ],
        "violations": [str(v) for v in result.violations],
    }


def _by_kind(result: Result) -> Counter[str]:
    return Counter(f"{r.fault.kind} {r.fault.target}" for r in result.recoveries)


def report(result: Result, console: Console) -> None:
    """A table, the first violations of each kind, and a last line that can be counted."""
    table = Table(title=f"{result.contacts} interactions, {len(result.recoveries)} faults, {result.seconds:.0f} s")
    for column in ("fault", "times", "moves again p50", "p99", "caught up p50", "p99"):
        table.add_column(column, justify="left" if column == "fault" else "right")
    groups: dict[str, list[tuple[float | None, float | None]]] = {}
    for recovery in result.recoveries:
        name = f"{recovery.fault.kind} {recovery.fault.target}"
        groups.setdefault(name, []).append((recovery.moved_s, recovery.caught_up_s))
        groups.setdefault("all", []).append((recovery.moved_s, recovery.caught_up_s))
    for name in sorted(groups, key=lambda name: (name == "all", name)):
        cells = [name, str(len(groups[name]))]
        for column in (0, 1):
            values = [pair[column] for pair in groups[name] if pair[column] is not None]
            cells += [f"{percentile(values, share):.1f} s" for share in (0.5, 0.99)]  # type: ignore[arg-type]
        table.add_row(*cells)
    console.print(table)
    console.print(f"{result.unknown} deliveries of unknown outcome went to a person, none was sent again by machine")
    shown: Counter[str] = Counter()
    for violation in result.violations:
        kind = f"{violation.invariant} {violation.kind}"
        shown[kind] += 1
        if shown[kind] <= 3:
            console.print(f"✗ {violation}", style="red", markup=False)
    for kind, count in shown.items():
        console.print(f"{kind}: {count}", style="red", markup=False)
    passed = max(0, result.contacts - len({id_ for violation in result.violations for id_ in violation.ids}))
    print(f"seed {result.options.seed}: {passed} passed, {len(result.violations)} failed", flush=True)


if __name__ == "__main__":
    sys.exit(main())
