"""Few large batches instead of many small ones, once there is much to do: a batch costs more than what is in it."""

import asyncio


class Pace:
    """Keeps the beginnings of batches `gap_s` apart. The first after a quiet time waits for nobody, and where batches
    take longer than that, none does."""

    def __init__(self, gap_s: float) -> None:
        self._gap_s = gap_s
        self._next = 0.0

    async def wait(self) -> None:
        """Return when the next batch may be gathered."""
        left = self._next - asyncio.get_running_loop().time()
        if left > 0:
            await asyncio.sleep(left)

    def begin(self) -> None:
        """A batch begins now."""
        self._next = asyncio.get_running_loop().time() + self._gap_s
