"""uvicorn inside our own event loop, as a service."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator, Sequence

import uvicorn
from starlette.types import ASGIApp

from runtime.logs import get_logger
from runtime.tasks import TaskOwner
from schemas.errors import ConfigError, TemporaryError

_START_TIMEOUT_S = 10.0

log = get_logger(__name__)


class HttpUnavailable(TemporaryError):
    """The server did not come up."""


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # signals belong to the process, which stops its services in order


class HttpServer:
    """Service: serves `app` at host:port. With port 0 the system picks one; `port` says which, after `start`."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        host: str,
        port: int,
        name: str = "http",
        trusted_proxies: Sequence[str] = (),
        graceful_s: float = 5.0,
        max_ws_message_bytes: int = 65_536,
    ) -> None:
        self.name = name
        self.host = host
        self._port = port
        self._graceful_s = graceful_s
        self._tasks = TaskOwner()
        self._server = _Server(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                lifespan="off",
                server_header=False,
                proxy_headers=bool(trusted_proxies),
                forwarded_allow_ips=list(trusted_proxies),
                ws="websockets-sansio",
                ws_max_size=max_ws_message_bytes,
                ws_per_message_deflate=False,
                timeout_keep_alive=20,
                timeout_graceful_shutdown=max(1, round(graceful_s)),
            )
        )
        self._task: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        return self._port

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self._port}"

    async def start(self) -> None:
        """Raises ConfigError if the address cannot be bound."""
        bound = self._bind()
        self._port = bound.getsockname()[1]
        self._task = self._tasks.spawn(f"{self.name}.serve", self._server.serve(sockets=[bound]))
        try:
            async with asyncio.timeout(_START_TIMEOUT_S):
                while not self._server.started:
                    if self._task.done():
                        raise HttpUnavailable(f"{self.name} did not start: {self._tasks.failed}")
                    await asyncio.sleep(0.01)
        except TimeoutError as error:
            raise HttpUnavailable(f"{self.name} did not start in time") from error
        log.info("listening", service=self.name, url=self.url)

    def _bind(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        try:
            bound = socket.create_server((self.host, self._port), family=family, backlog=512)
        except OSError as error:
            problem = f"http.bind: {self.host}:{self._port} cannot be used: {error.strerror or error}"
            raise ConfigError([problem], hint="Choose another port, or stop what uses it.") from error
        bound.setblocking(False)
        return bound

    async def drain(self) -> None:
        """Take no new connection, finish the requests in hand, close the WebSockets (1012)."""
        self._server.should_exit = True
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=self._graceful_s + 1.0)

    async def stop(self) -> None:
        self._server.should_exit = True
        self._server.force_exit = True
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=1.0)
        await self._tasks.cancel_all(1.0)

    async def failed(self) -> BaseException:
        while True:
            _, error = await self._tasks.wait_failed()
            if not self._server.should_exit:
                return error
            await asyncio.Event().wait()  # it ended because it was told to


class HttpIntake:
    """Service: the server's place among the intakes. It listens before the others start, so that a process which waits
    says how it is; but what it takes in goes on to them, so it drains and stops before they do."""

    def __init__(self, server: HttpServer) -> None:
        self.name = f"{server.name} intake"
        self._server = server

    async def start(self) -> None:
        """Nothing to do: it listens already."""

    async def drain(self) -> None:
        await self._server.drain()

    async def stop(self) -> None:
        await self._server.stop()
