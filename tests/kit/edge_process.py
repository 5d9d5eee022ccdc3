"""The edge in a process of its own, to be killed: reads accounts.json in the folder, writes its ports into `ready` when
it runs. fate.json, if it is there, says more: the `smtp_ingress`, mails to `import`, when it `dies` by its own hand."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import orjson

from channels.email.importing import import_mails
from channels.email.settings import EmailSettings
from tests.kit.edge import edge


async def main(folder: Path) -> None:
    accounts = orjson.loads((folder / "accounts.json").read_bytes())
    fate: dict[str, Any] = orjson.loads((folder / "fate.json").read_bytes()) if (folder / "fate.json").exists() else {}
    async with edge(
        folder, accounts, keep=(folder / "edge.db").exists(), smtp_ingress=fate.get("smtp_ingress")
    ) as site:
        site.intake.dies_at, site.intake.dies = fate.get("dies_at", 0), fate.get("dies", "before")
        reader, ingress, *_ = site.parts["email"].inbound
        ports = {"smtp": ingress.port, "lmtp": ingress.lmtp_port}  # type: ignore[attr-defined]
        (folder / "ready.part").write_bytes(orjson.dumps(ports))
        (folder / "ready.part").rename(folder / "ready")
        if path := fate.get("import"):
            ((name, settings),) = accounts["email"].items()
            await import_mails(
                Path(path),
                name,
                EmailSettings.model_validate(settings),
                reader=reader,  # type: ignore[arg-type]
                store=site.context.store,
                clock=site.context.clock,
                archive=False,
            )
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
