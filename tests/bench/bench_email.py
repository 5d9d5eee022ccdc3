"""Mail from raw bytes to a decision, beside django-helpdesk's own mail-to-ticket function on the same mails.

    make bench NAME=email     about three minutes

*routed*: parsed in the worker processes, accepted on disk (SQLite), published and decided, on one machine. *smtp*: the
same through our SMTP door, 20 connections. *parse*: one mail after another through a worker, beside the standard
library's `policy.default` with the same things read. Mails that the peer rejects leave both sides and are counted.
"""

import asyncio
import email
import email.policy
import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import orjson
from rich.console import Console
from rich.table import Table
from sqlalchemy import func, select

from channels.email.reading import MailReader
from channels.email.settings import EmailSettings
from runtime.collector import tune_collector
from store.accepting import Arrival
from store.tables import interactions
from tests.bench.environments import environment
from tests.bench.mails import mails
from tests.kit.town import Running, running

ROUNDS, MAILS, CONNECTIONS, AT_ONCE = 3, 600, 20, 32
PARSED = 300
LOOK_EVERY_S, TIMEOUT_S = 0.02, 300.0
PIN = "django-helpdesk==2.6.1"
PEER = Path(__file__).parent / "peers" / "django_helpdesk.py"
out = Console()


def peer(folder: Path) -> tuple[float, list[str]]:
    """(mails a second, names of those that it rejected)."""
    done = subprocess.run([environment([PIN]), PEER, folder], capture_output=True, timeout=900)
    for line in done.stdout.decode().splitlines():
        if line.startswith("FIGURES "):
            figures = json.loads(line.removeprefix("FIGURES "))
            return figures["per_s"], figures["rejected"]
    raise RuntimeError(done.stderr.decode()[-3000:])


async def decided(site: Running, known: int, count: int) -> None:
    """Return when so many more than `known` have left the state that they were accepted in."""
    query = select(func.count()).where(interactions.c.state != "received", interactions.c.channel == "email")
    async with asyncio.timeout(TIMEOUT_S):
        while (await site.house.base.database.look(lambda conn: conn.scalar(query)) or 0) < known + count:
            await asyncio.sleep(LOOK_EVERY_S)


async def total(site: Running) -> int:
    query = select(func.count()).where(interactions.c.channel == "email")
    return await site.house.base.database.look(lambda conn: conn.scalar(query)) or 0


async def routed(site: Running, reader: MailReader, account: str, raws: Sequence[bytes]) -> float:
    known = await total(site)
    clock, intake = site.house.base.clock, site.house.base.store.intake
    left = iter(raws)

    async def one() -> None:
        for raw in left:
            contact = await reader.read(raw, account, clock.now(), envelope_from="ann@example.org")
            await intake.accept(Arrival(contact=contact, raw=raw, media_type="message/rfc822"), clock.now())

    begun = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(AT_ONCE)))
    await decided(site, known, len(raws))
    return len(raws) / (time.perf_counter() - begun)


async def smtp(site: Running, address: str, folder: Path, count: int) -> float:
    """The mails in `folder`, sent by a process of its own."""
    known = await total(site)
    client = await asyncio.create_subprocess_exec(
        *(
            sys.executable,
            "-m",
            "tests.bench.mail_client",
            str(site.stage.smtp_port),
            address,
            str(CONNECTIONS),
            folder,
        ),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert client.stdin is not None
    assert client.stdout is not None
    async with asyncio.timeout(TIMEOUT_S):
        assert await client.stdout.readline() == b"READY\n"
        begun = time.perf_counter()
        client.stdin.write(b"\n")
        assert await client.wait() == 0
    await decided(site, known, count)
    return count / (time.perf_counter() - begun)


async def parsed(reader: MailReader, account: str, raws: Sequence[bytes], now: object) -> float:
    """Seconds for all, one after another, worker round trip included."""
    begun = time.perf_counter()
    for raw in raws:
        await reader.read(raw, account, now)  # type: ignore[arg-type]
    return time.perf_counter() - begun


def by_library(raws: Sequence[bytes]) -> float:
    """Seconds for all: subject, addresses, text and files, as a program that uses the standard library reads them."""
    begun = time.perf_counter()
    for raw in raws:
        try:
            message = email.message_from_bytes(raw, policy=email.policy.default)
            _ = [str(message.get(name, "")) for name in ("From", "To", "Subject", "Message-ID", "Date", "References")]
            body = message.get_body(("plain", "html"))
            _ = [body.get_content()] if body is not None else []
            _ = [(part.get_filename(), part.get_content()) for part in message.iter_attachments()]
        except (LookupError, ValueError, KeyError, TypeError, AttributeError):
            continue  # what the library cannot read, it reads no further
    return time.perf_counter() - begun


def rss_mb(reader: MailReader) -> float:
    """Of this process and the parsers."""
    pids = [os.getpid(), *reader.workers.pids]
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


async def growth(reader: MailReader, account: str, raws: Sequence[bytes], now: object) -> float:
    """MB from 1,000 to 10,000 mails."""

    async def read(count: int) -> None:
        left = iter(range(count))

        async def one() -> None:
            for number in left:
                await reader.read(raws[number % len(raws)], account, now)  # type: ignore[arg-type]

        await asyncio.gather(*(one() for _ in range(4)))

    await read(1_000)
    before = rss_mb(reader)
    await read(9_000)
    return rss_mb(reader) - before


async def main() -> None:
    environment([PIN])
    rates: dict[str, list[float]] = {"django-helpdesk": [], "routed": [], "smtp": []}
    ratios: list[float] = []
    with tempfile.TemporaryDirectory(prefix="sbmail") as folder:
        threshold = gc.get_threshold()
        tune_collector()  # as `switchboard run` does
        async with running(Path(folder) / "house") as site:
            settings: dict[str, EmailSettings] = site.house.configuration.channels["email"]
            account, address = next((name, each.address) for name, each in settings.items())
            reader = MailReader(settings, b"bench")
            await reader.start()
            rejected = 0
            for number in range(ROUNDS + 1):
                found = list(mails(MAILS if number else 60, seed=number))
                place = Path(folder) / f"mails-{number}"
                place.mkdir()
                for n, raw in enumerate(found):
                    (place / f"{n:05}.eml").write_bytes(raw)
                per_s, refused = await asyncio.to_thread(peer, place)
                raws = [raw for n, raw in enumerate(found) if f"{n:05}.eml" not in refused]
                half = len(raws) // 2
                first = await routed(site, reader, account, raws[:half])
                sent = Path(folder) / f"sent-{number}"
                sent.mkdir()
                for n, raw in enumerate(raws[half:]):
                    (sent / f"{n:05}.eml").write_bytes(raw)
                second = await smtp(site, address, sent, len(raws) - half)
                if not number:
                    continue  # warms everything up
                rejected += len(refused)
                rates["django-helpdesk"].append(per_s)
                rates["routed"].append(first)
                rates["smtp"].append(second)
            await reader.stop()
        # Nothing else runs in this process now: the library has it as any program has.
        gc.unfreeze()
        gc.set_threshold(*threshold)
        reader = MailReader(settings, b"bench")
        await reader.start()
        now = site.house.base.clock.now()
        for number in range(ROUNDS + 1):
            some = list(mails(PARSED, seed=number))
            ours, library = await parsed(reader, account, some, now), by_library(some)
            if number:
                ratios.append(ours / library)
        grown = await growth(reader, account, [raw for raw in some if len(raw) < 20_000], now)
        await reader.stop()
    medians = {name: statistics.median(found) for name, found in rates.items()}
    figures = {
        "routed_vs_django_helpdesk": round(medians["routed"] / medians["django-helpdesk"], 2),
        "smtp_vs_django_helpdesk": round(medians["smtp"] / medians["django-helpdesk"], 2),
        "parse_vs_stdlib": round(statistics.median(ratios), 3),
        "rss_growth_mb": round(grown, 1),
        **{f"{name.replace('-', '_')}_per_s": round(value, 1) for name, value in medians.items()},
        "rejected_by_peer": rejected,
    }
    table = Table(title=f"{ROUNDS} rounds of {MAILS} mails", title_justify="left")
    for column in ("way", "mails/s (median)", "min", "max", "vs django-helpdesk"):
        table.add_column(column, justify="left" if column == "way" else "right")
    for name, found in rates.items():
        ratio = medians[name] / medians["django-helpdesk"]
        table.add_row(name, f"{medians[name]:,.0f}", f"{min(found):,.0f}", f"{max(found):,.0f}", f"{ratio:.1f}")
    out.print(table)
    target = Path("build/bench/email.json")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(orjson.dumps({"figures": figures}, option=orjson.OPT_INDENT_2))
    out.print(figures)


if __name__ == "__main__":
    asyncio.run(main())
