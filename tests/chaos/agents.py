"""Scripted agents at the desk's API: they answer, and sometimes vanish, or come back too late."""

import asyncio
import random
import uuid
from typing import Any
from urllib.parse import quote

import aiohttp

from tests.chaos.players import BROKEN, HTTP_TIMEOUT
from tests.chaos.town import Town
from tests.kit.history import Call

PAUSE_S = 0.25
TRIES = 40
VANISHES, DAWDLES, IN_TWO_STEPS = 0.02, 0.02, 0.1


class Agent:
    """One agent. `lease_s`: how long the desk waits before it gives an item to somebody else."""

    def __init__(
        self, name: str, token: str, town: Town, session: aiohttp.ClientSession, *, seed: int, lease_s: float
    ) -> None:
        self._name, self._town, self._session, self._lease_s = name, town, session, lease_s
        self._headers = {"Authorization": f"Bearer {token}"}
        self._dice = random.Random(f"agent:{seed}:{name}")
        self.dawdles = DAWDLES

    async def work(self) -> None:
        """Until cancelled."""
        late: set[asyncio.Task[None]] = set()
        try:
            while True:
                item = await self._claim()
                if item is None:
                    await asyncio.sleep(PAUSE_S * self._dice.uniform(0.5, 1.5))
                    continue
                roll = self._dice.random()
                if roll < VANISHES:
                    continue
                if roll < VANISHES + self.dawdles:
                    late.add(asyncio.create_task(self._dawdle(item)))
                else:
                    await self._answer(item)
                late = {task for task in late if not task.done()}
        finally:
            for task in late:
                task.cancel()

    async def _dawdle(self, item: dict[str, Any]) -> None:
        await asyncio.sleep(self._lease_s * self._dice.uniform(1.3, 2.0))
        await self._answer(item)

    async def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, Any]:
        base = self._dice.choice(self._town.desks)
        async with self._session.request(
            method, f"{base}/api/desk{path}", json=body, headers=self._headers, timeout=HTTP_TIMEOUT
        ) as response:
            return response.status, None if response.status == 204 else await response.json(content_type=None)

    async def _claim(self) -> dict[str, Any] | None:
        call = self._town.history.invoke(self._name, "claim", "next")
        try:
            status, found = await self._call("POST", "/work-items/next")
        except BROKEN as error:
            call.info(error=type(error).__name__)
            return None
        if status != 200:
            call.fail(code=status) if status in (204, 409) else call.info(code=status)
            return None
        item = found["item"]
        call.ok(id=item["id"], epoch=item["epoch"], through=found["highest_seq"])
        self._town.claims += 1
        return {**item, "through": found["highest_seq"]}

    async def _answer(self, item: dict[str, Any]) -> None:
        """Until it is taken, or is no longer ours."""
        written = item["channel"] != "phone_log"
        if written and self._dice.random() < IN_TWO_STEPS:
            if await self._write("reply", item, self._text(item)) == "taken":
                await self._write("complete", item, {})
            return
        for _ in range(TRIES):
            outcome = await self._write("complete", item, self._text(item) if written else {})
            if outcome != "newer":
                return
            try:
                status, found = await self._call("GET", f"/work-items/{quote(item['id'], safe='')}")
            except BROKEN:
                await asyncio.sleep(PAUSE_S)
                continue
            if status == 200:
                item["through"] = found["highest_seq"]

    def _text(self, item: dict[str, Any]) -> dict[str, Any]:
        key = uuid.UUID(int=self._dice.getrandbits(128)).hex
        return {"key": key, "text": f"[{key}] It is taken care of, {item['reference']}. through={item['through']}"}

    async def _write(self, verb: str, item: dict[str, Any], words: dict[str, Any]) -> str:
        """taken, newer (read first), or over. Asked again with the same key while nobody can say."""
        body = {"epoch": item["epoch"], "answers_through": item["through"], **words}
        for _ in range(TRIES):
            call: Call = self._town.history.invoke(self._name, "complete", item["id"], verb=verb, **body)
            try:
                status, found = await self._call("POST", f"/work-items/{quote(item['id'], safe='')}/{verb}", body)
            except BROKEN as error:
                call.info(error=type(error).__name__)
                await asyncio.sleep(PAUSE_S * self._dice.uniform(1.0, 3.0))
                continue
            if status == 200:
                call.ok()
                return "taken"
            if status in (404, 409):
                code = found.get("code", "") if isinstance(found, dict) else ""
                call.fail(code=code)
                return "newer" if code == "newer-messages" else "over"
            call.info(code=status)
            await asyncio.sleep(PAUSE_S * self._dice.uniform(1.0, 3.0))
        return "over"
