"""The smallest service: one named task that runs until it is stopped, and has nothing to finish when it drains."""

from runtime.tasks import TaskOwner


class Looping:
    """Subclasses give a `name` and `_run`, which never returns."""

    name: str

    def __init__(self) -> None:
        self._tasks = TaskOwner()

    async def start(self) -> None:
        self._tasks.spawn(self.name, self._run())

    async def drain(self) -> None:
        """Nothing is ever half done: each turn of the loop is a transaction of its own."""

    async def stop(self) -> None:
        await self._tasks.cancel_all(2.0)

    async def failed(self) -> BaseException:
        return (await self._tasks.wait_failed())[1]

    async def _run(self) -> None:
        raise NotImplementedError
