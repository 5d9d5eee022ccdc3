"""A TCP proxy that spoils links: reset, silence, latency. What toxiproxy does, in this process or one of its own."""

import asyncio
import json
import socket
import struct
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

Toxic = Literal["reset", "silence"]
_TICK_S = 1e-6


class Proxy:
    """Listens on loopback and hands everything on to `upstream`, until it is told otherwise.

    `reset`: existing links end with RST at once, new ones at the first word. `silence`: nothing passes in either
    direction, nobody is told; what was said meanwhile arrives at `heal()`, or never, if that resets.
    """

    def __init__(self, upstream_port: int, *, port: int = 0, upstream_host: str = "127.0.0.1") -> None:
        self.port = port
        self.upstream = (upstream_host, upstream_port)
        self.latency_s = 0.0
        self.toxic: Toxic | None = None
        self._server: asyncio.Server | None = None
        self._links: set[_Side] = set()

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Side(self), "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        self._reset_all()
        await asyncio.sleep(0)

    async def __aenter__(self) -> "Proxy":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def cut(self, toxic: Toxic) -> None:
        self.toxic = toxic
        if toxic == "reset":
            self._reset_all()
        for side in self._links:
            side.listen()

    def heal(self, *, reset: bool = False) -> None:
        """Let everything pass again. `reset`: the links that were spoiled end instead of going on."""
        self.toxic = None
        if reset:
            self._reset_all()
        for side in self._links:
            side.listen()

    def _reset_all(self) -> None:
        for side in list(self._links):
            side.reset()

    def add(self, side: "_Side") -> None:
        self._links.add(side)

    def discard(self, side: "_Side") -> None:
        self._links.discard(side)


class _Side(asyncio.Protocol):
    """One of the two connections of a link."""

    def __init__(self, proxy: Proxy, other: "_Side | None" = None) -> None:
        self._proxy = proxy
        self._other = other
        self._transport: asyncio.Transport | None = None
        self._early: list[bytes] = []
        self._full = False
        self._due = 0.0
        self._opening: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._proxy.add(self)
        if self._proxy.toxic == "reset":
            self.reset()
            return
        if self._other is None:
            self._opening = asyncio.ensure_future(self._open())
        self.listen()

    async def _open(self) -> None:
        other = _Side(self._proxy, self)
        try:
            async with asyncio.timeout(5.0):
                await asyncio.get_running_loop().create_connection(lambda: other, *self._proxy.upstream)
        except (OSError, TimeoutError):
            self.reset()
            return
        self._other = other
        for data in self._early:
            other.write(data)
        self._early.clear()

    def listen(self) -> None:
        """Read only while something may pass and the other side takes it: so silence costs no memory."""
        if self._transport is None or self._transport.is_closing():
            return
        if self._proxy.toxic == "silence" or (self._other is not None and self._other._full):
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        self._later(self._pass, data)

    def _later(self, call: Callable[..., None], *arguments: object) -> None:
        """After the latency, and never before what was to be done earlier."""
        loop = asyncio.get_running_loop()
        self._due = max(loop.time() + self._proxy.latency_s, self._due + _TICK_S)
        if self._due > loop.time() + _TICK_S:
            loop.call_at(self._due, call, *arguments)
        else:
            call(*arguments)

    def _pass(self, data: bytes) -> None:
        if self._other is None:
            self._early.append(data)
        else:
            self._other.write(data)

    def write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def pause_writing(self) -> None:
        self._full = True
        if self._other is not None:
            self._other.listen()

    def resume_writing(self) -> None:
        self._full = False
        if self._other is not None:
            self._other.listen()

    def connection_lost(self, exc: Exception | None) -> None:
        self._proxy.discard(self)
        if self._opening is not None:
            self._opening.cancel()
        if self._other is not None:
            if isinstance(exc, ConnectionResetError):
                self._other.reset()
            else:
                self._later(self._other.close)

    def close(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.close()

    def reset(self) -> None:
        """RST instead of FIN."""
        if self._transport is None:
            return
        found = self._transport.get_extra_info("socket")
        if found is not None and found.fileno() >= 0:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()


class ProxyProcess:
    """Proxies in a process of their own: what passes through them does not wait for anything else.

    `links`: name → (upstream port, own port or 0). Commands go in and their answers come out as lines.
    """

    def __init__(self) -> None:
        self.ports: dict[str, int] = {}
        self._process: asyncio.subprocess.Process | None = None
        self._one = asyncio.Lock()

    async def start(self, links: Mapping[str, tuple[int, int]]) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            __name__,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        for name, (upstream, port) in links.items():
            self.ports[name] = int(await self._ask("open", name, upstream, port))

    async def cut(self, name: str, toxic: Toxic) -> None:
        await self._ask("cut", name, toxic)

    async def slow(self, name: str, latency_s: float) -> None:
        await self._ask("slow", name, latency_s)

    async def heal(self, name: str, *, reset: bool = False) -> None:
        await self._ask("heal", name, reset)

    async def _ask(self, *command: object) -> str:
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        async with self._one, asyncio.timeout(20.0):
            self._process.stdin.write(json.dumps(command).encode() + b"\n")
            answer = await self._process.stdout.readline()
        if not answer:
            raise ConnectionError("the proxies' process has ended")
        return answer.decode().strip()

    async def stop(self) -> None:
        if self._process is not None and self._process.returncode is None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            await self._process.wait()


async def _serve_commands() -> None:
    """Until the other side closes our input."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    proxies: dict[str, Proxy] = {}
    while line := await reader.readline():
        verb, name, *rest = json.loads(line)
        answer: object = "ok"
        match verb:
            case "open":
                proxies[name] = Proxy(rest[0], port=rest[1])
                await proxies[name].start()
                answer = proxies[name].port
            case "cut":
                proxies[name].cut(rest[0])
            case "slow":
                proxies[name].latency_s = rest[0]
            case "heal":
                proxies[name].latency_s = 0.0
                proxies[name].heal(reset=rest[0])
        print(answer, flush=True)


if __name__ == "__main__":
    asyncio.run(_serve_commands())
