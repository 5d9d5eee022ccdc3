"""The edge in a process of its own, to be killed: reads accounts.json in the folder, writes `ready` when it runs."""

import asyncio
import sys
from pathlib import Path

import orjson

from tests.kit.edge import edge


async def main(folder: Path) -> None:
    accounts = orjson.loads((folder / "accounts.json").read_bytes())
    async with edge(folder, accounts, keep=(folder / "edge.db").exists()):
        (folder / "ready").touch()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
