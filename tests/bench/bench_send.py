"""How fast are replies sent through ledger and composition, beside a bare aiosmtplib loop with as many connections?

The sink is a process of its own and takes everything; interleaved rounds, medians. Every mail has an id: none may come
twice, none may be missing. Prints a table and writes build/bench/send.json.
"""

import asyncio
import multiprocessing
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path

import aiosmtplib
import orjson
from rich.console import Console
from rich.table import Table

from runtime.collector import tune_collector
from schemas.reply import Reply
from schemas.states import DeliveryState
from store import deliveries, replies
from tests.kit.edge import Edge, edge
from tests.kit.events import examples
from tests.kit.smtp_sink import SmtpSink

ROUNDS, MAILS, CONNECTIONS = 3, 400, 5
BARE = b"From: help@shop.example\r\nTo: %s\r\nSubject: Re: x\r\nX-Switchboard-Loop: %s\r\n\r\n" + b"Your parcel. " * 40

OPEN = (DeliveryState.PENDING, DeliveryState.ATTEMPTING)


def _sink(line: Connection) -> None:
    async def serve() -> None:
        async with SmtpSink() as sink:
            line.send(sink.port)
            await asyncio.to_thread(line.recv)
            line.send([recipients[0] for _, recipients, _ in sink.mails])

    asyncio.run(serve())


@contextmanager
def sink() -> Iterator[tuple[int, Connection]]:
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_sink, args=(theirs,), daemon=True)
    process.start()
    try:
        yield ours.recv(), ours
    finally:
        process.join(5)
        process.kill()


async def bare(port: int, start: int) -> float:
    """Mails per second."""
    numbers = iter(range(start, start + MAILS))

    async def one() -> None:
        async with aiosmtplib.SMTP(hostname="127.0.0.1", port=port, start_tls=False, timeout=60) as client:
            for n in numbers:
                to = f"bare{n}@example{n % 100}.org"
                await client.sendmail("help@shop.example", [to], BARE % (to.encode(), b"%d" % n))

    begun = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(CONNECTIONS)))
    return MAILS / (time.perf_counter() - begun)


async def through_the_ledger(site: Edge, start: int) -> float:
    model = examples()["reply"]
    assert isinstance(model, Reply)
    now, store = datetime.now(UTC), site.context.store
    made = [
        model.model_copy(
            update={
                "id": f"reply-{n}",
                "conversation_id": f"00000000-0000-4000-8000-{n:012d}",
                "recipient": model.recipient.model_copy(update={"address": f"ours{n}@example{n % 100}.org"}),
                "text": "Your parcel. " * 40,
                "created_at": now,
            }
        )
        for n in range(start, start + MAILS)
    ]
    await site.database.write(lambda c: replies.request(c, store.outbox, made))
    done = asyncio.Event()
    begun = time.perf_counter()
    await site.database.write(lambda c: deliveries.copy_in(c, made, now))
    site.database.on_commit(done.set)
    while True:
        done.clear()
        left = await site.database.read(
            lambda c: deliveries.count(c, [DeliveryState.PENDING, DeliveryState.ATTEMPTING])
        )
        if not left:
            break
        await done.wait()
        await asyncio.sleep(0.02)
    taken = time.perf_counter() - begun
    site.database.off_commit(done.set)
    return MAILS / taken


async def main() -> None:
    plain: list[float] = []
    ours: list[float] = []
    with sink() as (port, line), tempfile.TemporaryDirectory() as folder:
        smtp = {"host": "127.0.0.1", "port": port, "tls": "none", "connections": CONNECTIONS}
        account = {"address": "help@shop.example", "smtp": smtp}
        tune_collector()  # as `switchboard run` does
        async with edge(Path(folder), {"email": {"support": account}}) as site:
            for number in range(ROUNDS):
                plain.append(await bare(port, number * MAILS))
                ours.append(await through_the_ledger(site, number * MAILS))
        line.send("how many?")
        came = Counter(to for to in await asyncio.to_thread(line.recv) if to.startswith("ours"))
    figures = {
        "sends_vs_aiosmtplib": round(statistics.median(ours) / statistics.median(plain), 3),
        "sends_per_second": round(statistics.median(ours)),
        "bare_per_second": round(statistics.median(plain)),
        "doubled": sum(1 for n in came.values() if n > 1),
        "lost": ROUNDS * MAILS - len(came),
    }
    table = Table(title=f"{ROUNDS} rounds of {MAILS} mails over {CONNECTIONS} connections", title_justify="left")
    for column in ("sender", "mails/s (median)", "min", "max"):
        table.add_column(column, justify="left" if column == "sender" else "right")
    table.add_row("bare aiosmtplib", *(f"{v:,.0f}" for v in (statistics.median(plain), min(plain), max(plain))))
    table.add_row("Switchboard, ledger", *(f"{v:,.0f}" for v in (statistics.median(ours), min(ours), max(ours))))
    Console().print(table)
    target = Path("build/bench/send.json")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(orjson.dumps({"figures": figures}, option=orjson.OPT_INDENT_2))
    Console().print(figures)


if __name__ == "__main__":
    asyncio.run(main())
