"""Two agents at the queue, using nothing but the client library."""

import asyncio
import random
from collections import Counter

from switchboard.client import NewerMessages, QueueConsumer, SwitchboardClientError, WorkItem

ANSWERS = (
    "Thank you for writing. I have looked into it and it is taken care of.",
    "Thanks for your patience: I have just sorted this out for you.",
    "Good question! I have asked our warehouse, and the answer is yes.",
)


async def serve(name: str, url: str, token: str, done: Counter[str], seed: int) -> None:
    """Take items and answer them until cancelled."""
    dice = random.Random(seed)  # noqa: S311 - the same show every time
    async with QueueConsumer(url, token) as queue:
        async for item in queue:
            await asyncio.sleep(dice.uniform(0.05, 0.25))  # reading takes a moment
            try:
                await _answer(item, dice)
                done[name] += 1
            except SwitchboardClientError:
                continue  # taken away or away for a moment: it comes back in the line


async def _answer(item: WorkItem, dice: random.Random) -> None:
    text = None if item.channel == "phone_log" else f"{dice.choice(ANSWERS)}\n\n{item.reference}"
    for _ in range(5):
        try:
            await item.complete(text)
        except NewerMessages:
            await item.refresh()
        else:
            return
    await item.release()
