"""Stream hosts beside each other on Apache Kafka, then the whole chain on its two stores.

    make bench NAME=host                      everything (about 15 minutes)
    make bench NAME=host ARGS="--only hosts"  or: chain

Hosts: every one reads the same records, writes one record for each with the same CloudEvents headers, and commits after
the broker's confirmation. Ours copies, and does the whole job (decode, validate, facts from a warm cache, decide with
trace, encode) with 100 and 1,000 rules on traffic that hits about one of them. Interleaved rounds, every other one
backwards; medians. Peers run in environments of their own under build/bench/.
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import orjson
from rich.console import Console
from rich.table import Table

from bus import admin
from bus.brokers.local import LocalBroker
from bus.kafka import KafkaSink
from bus.records import Confirmed, Outgoing
from bus.settings import KafkaSettings
from bus.topics import DECISIONS, INTERACTIONS, TOPICS
from schemas.codec import encode
from tests.bench import traffic
from tests.bench.chain import chain_figures
from tests.bench.environments import environment
from tests.kit.broker import forget

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build" / "bench"
PARTITIONS = 4
RECORDS = 160_000
"""A fast host works on this for a second or two."""
BODY_CHARS = 300
"""Records of about one KB, as in the measurements that the bars come from."""
ROUNDS = 3
TIMEOUT_S = 300
# Without this glibc gives large buffers back to the system and takes them again, page fault by page fault.
ENVIRONMENT = {
    "MALLOC_MMAP_THRESHOLD_": "1073741824",
    "MALLOC_TRIM_THRESHOLD_": "536870912",
    "MALLOC_TOP_PAD_": "67108864",
}

out = Console()


@dataclass(frozen=True)
class Host:
    name: str
    script: str
    count: int = RECORDS
    more: tuple[str, ...] = ()
    pins: tuple[str, ...] = ()
    """Packages of a peer's own environment."""

    def command(self, address: str, group: str) -> list[str]:
        arguments = [address, group, str(self.count), *self.more]
        if self.pins:
            return [str(environment(self.pins)), str(ROOT / "tests/bench/hosts" / f"{self.script}.py"), *arguments]
        return [sys.executable, "-m", f"tests.bench.hosts.{self.script}", *arguments]


HOSTS = (
    Host("raw", "raw_aiokafka"),
    Host("copy", "ours", more=("0",)),
    Host("triage100", "ours", more=("100",)),
    Host("triage1000", "ours", RECORDS // 2, ("1000",)),
    Host("idiomatic", "idiomatic_faust", RECORDS // 10),
    Host("confluent", "confluent", pins=("confluent-kafka==2.16.1",)),
    Host("quix", "quix", pins=("quixstreams==3.28.1",)),
)


async def fill(address: str) -> float:
    """Write the records; gives their mean size in bytes. They name the rules of the larger policy in half of them."""
    sink = KafkaSink(address, embedded=False, send_timeout_s=60)
    size = 0
    made: list[Outgoing] = []

    async def flush() -> None:
        outcomes = await sink.write(made)
        assert all(isinstance(outcome, Confirmed) for outcome in outcomes), outcomes[:3]
        made.clear()

    for event in traffic.interactions(RECORDS, 100, "p-bench", size=BODY_CHARS):
        encoded = encode(event)
        size += len(encoded.value)
        made.append(Outgoing(INTERACTIONS, encoded.key, encoded.value, encoded.headers))
        if len(made) == 2000:
            await flush()
    await flush()
    await sink.close()
    return size / RECORDS


async def run(host: Host, address: str, number: int) -> dict[str, float]:
    """One host over the records, with an empty output topic and a group of its own."""
    await forget(address, [DECISIONS])
    await admin.apply(address, TOPICS, PARTITIONS, 1)
    process = await asyncio.create_subprocess_exec(
        *host.command(address, f"bench-{host.name}-{number}"),
        cwd=ROOT,
        env={**os.environ, **ENVIRONMENT, "PYTHONPATH": str(ROOT)} if not host.pins else {**os.environ, **ENVIRONMENT},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(TIMEOUT_S):
        printed, errors = await process.communicate()
    for line in printed.decode().splitlines():
        if line.startswith("FIGURES "):
            figures: dict[str, float] = json.loads(line.removeprefix("FIGURES "))
            return figures
    raise RuntimeError(f"{host.name} gave no figures:\n{errors.decode()[-3000:]}")


async def host_figures(rounds: int) -> dict[str, float]:
    for host in HOSTS:
        if host.pins:
            environment(host.pins)
    found: dict[str, list[dict[str, float]]] = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="sbbench") as folder:
        broker = LocalBroker(KafkaSettings(brokers="local", partitions=PARTITIONS), Path(folder))
        await broker.start()
        try:
            with out.status(f"writing {RECORDS:,} records …"):
                size = await fill(broker.address)
            for number in range(rounds):
                for host in HOSTS if number % 2 == 0 else HOSTS[::-1]:
                    figures = await run(host, broker.address, number)
                    found[host.name].append(figures)
                    rate, cpu = figures["events_per_s"], figures["cpu_us"]
                    out.print(f"round {number + 1}  {host.name:<11} {rate:>9,.0f} events/s  {cpu:6.1f} µs CPU each")
        finally:
            await broker.stop()
    return _table(found, size)


def _table(found: dict[str, list[dict[str, float]]], size: float) -> dict[str, float]:
    rates = {name: statistics.median(f["events_per_s"] for f in each) for name, each in found.items()}
    table = Table(title=f"{RECORDS:,} records of {size:,.0f} bytes, Apache Kafka, one process", title_justify="left")
    for column in ("host", "events/s", "min–max", "vs raw", "CPU µs/event", "RSS MB"):
        table.add_column(column, justify="left" if column == "host" else "right")
    for name, each in found.items():
        speeds = [f["events_per_s"] for f in each]
        table.add_row(
            name,
            f"{rates[name]:,.0f}",
            f"{min(speeds):,.0f}–{max(speeds):,.0f}",
            f"{rates[name] / rates['raw']:.2f}",
            f"{statistics.median(f['cpu_us'] for f in each):.1f}",
            f"{statistics.median(f['rss_mb'] for f in each):.0f}",
        )
    out.print(table)
    figures = {f"{name}_vs_raw": round(rate / rates["raw"], 3) for name, rate in rates.items() if name != "raw"}
    figures["triage100_vs_idiomatic"] = round(rates["triage100"] / rates["idiomatic"], 2)
    figures |= {f"{name}_events_per_s": round(rate) for name, rate in rates.items()}
    cpu = {name: statistics.median(f["cpu_us"] for f in each) for name, each in found.items()}
    return figures | {f"{name}_cpu_us": round(value, 2) for name, value in cpu.items()}


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", choices=["hosts", "chain"])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    BUILD.mkdir(parents=True, exist_ok=True)
    target = BUILD / "host.json"
    # A part that is not measured now keeps what was measured before.
    figures = orjson.loads(target.read_bytes())["figures"] if target.exists() and options.only else {}
    if options.only != "chain":
        figures |= await host_figures(options.rounds)
    if options.only != "hosts":
        figures |= await chain_figures(out)
    target.write_bytes(orjson.dumps({"figures": figures}, option=orjson.OPT_INDENT_2))
    out.print(figures)


if __name__ == "__main__":
    asyncio.run(main())
