"""How fast is accept(), through a real SMTP door, beside a bare aiosmtpd that throws every mail away?

Both doors in this process, the same sender, the same mails, interleaved rounds; medians. Prints a table and writes
build/bench/accept.json.
"""

import asyncio
import statistics
import tempfile
import time
from pathlib import Path

import aiosmtplib
import orjson
from aiosmtpd.smtp import SMTP
from rich.console import Console
from rich.table import Table

from tests.kit.edge import edge

ROUNDS, MAILS, CONNECTIONS = 3, 400, 10
MAIL = (
    "From: Ann <ann{n}@example.org>\r\nTo: help@shop.example\r\nSubject: Order {n}\r\n"
    "Message-ID: <{n}@example.org>\r\n\r\n" + "Where is my order? It should be here by now. " * 20 + "\r\n"
)


class Nothing:
    async def handle_DATA(self, *_: object) -> str:
        return "250 OK"


async def send(port: int, start: int) -> float:
    """Mails per second over `CONNECTIONS` connections."""
    numbers = iter(range(start, start + MAILS))

    async def one() -> None:
        async with aiosmtplib.SMTP(hostname="127.0.0.1", port=port, start_tls=False, timeout=60) as client:
            for n in numbers:
                await client.sendmail(f"ann{n}@example.org", ["help@shop.example"], MAIL.format(n=n).encode())

    begun = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(CONNECTIONS)))
    return MAILS / (time.perf_counter() - begun)


async def main() -> None:
    bare: list[float] = []
    ours: list[float] = []
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(Nothing(), hostname="bare"), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        async with edge(Path(folder), {"email": {"help": {"address": "help@shop.example"}}}) as site:
            door = site.parts["email"].inbound[1].port  # type: ignore[attr-defined]
            for number in range(ROUNDS):
                bare.append(await send(port, number * MAILS))
                ours.append(await send(door, number * MAILS))
            assert await site.accepted("email") == ROUNDS * MAILS
    server.close()
    figures = {
        "accept_vs_aiosmtpd": round(statistics.median(ours) / statistics.median(bare), 3),
        "accepted_per_second": round(statistics.median(ours)),
        "bare_per_second": round(statistics.median(bare)),
    }
    table = Table(title=f"{ROUNDS} rounds of {MAILS} mails over {CONNECTIONS} connections", title_justify="left")
    for column in ("door", "mails/s (median)", "min", "max"):
        table.add_column(column, justify="left" if column == "door" else "right")
    table.add_row("bare aiosmtpd", *(f"{v:,.0f}" for v in (statistics.median(bare), min(bare), max(bare))))
    table.add_row("Switchboard, on disk", *(f"{v:,.0f}" for v in (statistics.median(ours), min(ours), max(ours))))
    Console().print(table)
    target = Path("build/bench/accept.json")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(orjson.dumps({"figures": figures}, option=orjson.OPT_INDENT_2))
    Console().print(figures)


if __name__ == "__main__":
    asyncio.run(main())
