"""Who waits for a place, first come first served."""

import asyncio
from collections import deque
from collections.abc import Callable


class Waiting:
    def __init__(self) -> None:
        self._line: deque[asyncio.Future[None]] = deque()

    async def wait(self, pass_on: Callable[[], None]) -> None:
        """Until called. `pass_on`, when it is cancelled: it may have been its turn, which is somebody else's then."""
        waiting = asyncio.get_running_loop().create_future()
        self._line.append(waiting)
        try:
            await waiting
        except asyncio.CancelledError:
            pass_on()
            raise

    def call(self, count: int) -> None:
        """The next so many."""
        while count > 0 and self._line:
            waiting = self._line.popleft()
            if not waiting.done():  # nobody waits for one that was cancelled
                waiting.set_result(None)
                count -= 1
