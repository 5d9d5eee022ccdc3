import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any

import httpx
import pytest
import websockets
from fastapi import APIRouter, Depends
from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.websockets import WebSocket

from runtime.http.app import create_app
from runtime.http.auth import Principal, accept_websocket, require
from runtime.http.limits import TokenBuckets, limited
from runtime.http.problem import Problem
from runtime.http.server import HttpServer
from runtime.http.settings import HttpSettings
from runtime.http.static import static_files
from runtime.metrics import Metrics
from schemas.errors import ConfigError, NotFound, StateConflict, StoreUnavailable, SwitchboardError
from tests.kit.clock import ManualClock


class Login(BaseModel):
    user: str
    password: int


async def check(token: str) -> Principal | None:
    if token == "slow":
        raise StoreUnavailable("later")
    return Principal("agent", "ada") if token == "good" else None


Signed = Annotated[Principal, Depends(require(check))]


def router(clock: ManualClock) -> APIRouter:
    routes = APIRouter()

    @routes.get("/raise/{kind}")
    async def raise_(kind: str) -> None:
        raise {
            "notfound": NotFound("no such thing"),
            "conflict": StateConflict("moved on", hint="Look again."),
            "temporary": StoreUnavailable("store is away"),
            "other": SwitchboardError("not like that"),
            "problem": Problem(451, "no", code="banned", newer=[1]),
            "bug": RuntimeError("inner detail"),
        }[kind]

    @routes.post("/login")
    async def login(form: Login) -> str:
        return form.user

    @routes.post("/size")
    async def size(request: Request) -> int:
        return len(await request.body())

    @routes.get("/me")
    async def me(principal: Signed) -> str:
        return principal.id

    @routes.get("/limited", dependencies=[Depends(limited(TokenBuckets(1, 2, clock)))])
    async def limited_() -> str:
        return "ok"

    @routes.get("/slow")
    async def slow() -> str:
        await asyncio.sleep(0.3)
        return "done"

    @routes.websocket("/ws")
    async def ws(socket: WebSocket) -> None:
        principal = await accept_websocket(socket, check, timeout_s=0.3)
        if principal is not None:
            await socket.send_text(principal.id)
            await socket.receive_text()

    return routes


@asynccontextmanager
async def serving(
    ready: bool = True, is_open: Callable[[], bool] = lambda: True
) -> AsyncIterator[tuple[HttpServer, httpx.AsyncClient, ManualClock]]:
    clock = ManualClock()
    app = create_app(
        "test",
        [router(clock)],
        readiness=lambda: {"store": True, "bus": ready},
        metrics=Metrics(),
        max_body_bytes=1000,
        is_open=is_open,
        waits_for=lambda: "" if is_open() else "store",
        mounts={"/static": static_files("tests.kit.static_pkg", "web", index=True)},
    )
    server = HttpServer(app, host="127.0.0.1", port=0, graceful_s=2)
    await server.start()
    try:
        async with httpx.AsyncClient(base_url=server.url) as client:
            yield server, client, clock
    finally:
        await server.drain()
        await server.stop()


@pytest.mark.parametrize(
    ("kind", "status", "members"),
    [
        ("notfound", 404, {"detail": "no such thing", "code": "NotFound"}),
        ("conflict", 409, {"hint": "Look again."}),
        ("temporary", 503, {"detail": "store is away"}),
        ("other", 422, {"detail": "not like that"}),
        ("problem", 451, {"code": "banned", "newer": [1]}),
        ("bug", 500, {}),
    ],
)
async def test_errors_are_problem_documents(kind: str, status: int, members: dict[str, Any]) -> None:
    async with serving() as (_, client, _clock):
        answer = await client.get(f"/raise/{kind}")
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status
    assert members.items() <= body.items()
    assert ("retry-after" in answer.headers) == (status == 503)
    assert "inner detail" not in answer.text


async def test_validation_errors_name_the_place_and_never_repeat_the_input() -> None:
    async with serving() as (_, client, _clock):
        answer = await client.post("/login", json={"user": "a", "password": "hunter2"})
        broken = await client.post("/login", content=b"\xff{", headers={"content-type": "application/json"})
        missing = await client.get("/nowhere")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["place"] == "body.password"
    assert "hunter2" not in answer.text
    assert (broken.status_code, missing.status_code) == (400, 404)
    assert missing.headers["content-type"] == broken.headers["content-type"] == "application/problem+json"


async def test_bodies_over_the_limit_get_413_declared_or_streamed() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(30):
            yield b"x" * 100

    async with serving() as (_, client, _clock):
        assert (await client.post("/size", content=b"x" * 1000)).json() == 1000
        declared = await client.post("/size", content=b"x" * 1001)
        streamed = await client.post("/size", content=chunks())
    for answer in (declared, streamed):
        assert answer.status_code == 413
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["x-content-type-options"] == "nosniff"


async def test_health_readiness_metrics_openapi_and_headers() -> None:
    async with serving(ready=False) as (_, client, _clock):
        health = await client.get("/healthz")
        ready = await client.get("/readyz")
        assert b"# " not in (await client.get("/metrics")).content
        paths = (await client.get("/openapi.json")).json()["paths"]
        assert (await client.get("/docs")).status_code == 404
    assert health.status_code == 200
    assert (ready.status_code, ready.json()["parts"]) == (503, {"store": True, "bus": False})
    assert "/login" in paths
    assert "default-src 'self'" in health.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in health.headers["content-security-policy"]
    assert health.headers["referrer-policy"] == "no-referrer"
    assert "server" not in health.headers


async def test_a_process_that_has_not_started_says_how_it_is_and_serves_nothing_else() -> None:
    gate: list[bool] = []
    async with serving(is_open=lambda: bool(gate)) as (server, client, _clock):
        health = {page: await client.get(page) for page in ("/healthz", "/readyz", "/metrics")}
        refused = [await client.get("/me"), await client.post("/login", json={}), await client.get("/static/")]
        with pytest.raises(websockets.InvalidStatus) as closed:
            await websockets.connect(server.url.replace("http", "ws") + "/ws")
        gate.append(True)
        ready = await client.get("/readyz")
        served = await client.get("/static/")
    assert [answer.status_code for answer in health.values()] == [200, 200, 200]
    assert health["/readyz"].json()["waits_for"] == "store"
    assert {answer.status_code for answer in refused} == {503}
    assert {answer.headers["content-type"] for answer in refused} == {"application/problem+json"}
    assert "retry-after" in refused[0].headers
    assert closed.value.response.status_code == 503
    assert "waits_for" not in ready.json()
    assert served.status_code == 200


async def test_bearer_tokens() -> None:
    async with serving() as (_, client, _clock):
        ok = await client.get("/me", headers={"Authorization": "Bearer good"})
        bad = await client.get("/me", headers={"Authorization": "Bearer bad"})
        none = await client.get("/me?token=good")
        later = await client.get("/me", headers={"Authorization": "Bearer slow"})
    assert (ok.json(), bad.status_code, none.status_code, later.status_code) == ("ada", 401, 401, 503)
    assert bad.headers["www-authenticate"] == "Bearer"


async def test_websocket_tokens() -> None:
    async with serving() as (server, _, _clock):
        url = server.url.replace("http", "ws") + "/ws"
        async with websockets.connect(url, additional_headers={"Authorization": "Bearer good"}) as ws:
            assert await ws.recv() == "ada"
        async with websockets.connect(url, subprotocols=["bearer", "good"]) as ws:  # type: ignore[list-item]
            assert ws.subprotocol == "bearer"
            assert await ws.recv() == "ada"
        async with websockets.connect(url) as ws:
            await ws.send(json.dumps({"type": "auth", "token": "good"}))
            assert await ws.recv() == "ada"
        for first in ('{"type":"auth","token":"bad"}', "no json", '{"type":"hello"}', b"\x00", None):
            async with websockets.connect(url + "?token=good") as ws:
                if first is not None:
                    await ws.send(first)
                with pytest.raises(websockets.ConnectionClosed) as closed:
                    await ws.recv()
                assert closed.value.rcvd is not None
                assert closed.value.rcvd.code == 1008
        async with websockets.connect(url, additional_headers={"Authorization": "Bearer slow"}) as ws:
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await ws.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1013


async def test_static_files_with_etag_and_without_a_way_out() -> None:
    async with serving() as (_, client, _clock):
        page = await client.get("/static/")
        again = await client.get("/static/index.html", headers={"If-None-Match": page.headers["etag"]})
        for path in ("/static/../hidden.txt", "/static/%2e%2e/hidden.txt", "/static/..%2fhidden.txt", "/static/x"):
            assert (await client.get(path)).status_code == 404
    assert page.text == "<p>page</p>\n"
    assert again.status_code == 304
    assert page.headers["cache-control"] == "no-cache"


async def test_rate_limit_says_when_to_come_back() -> None:
    async with serving() as (_, client, clock):
        codes = [(await client.get("/limited")).status_code for _ in range(3)]
        refused = await client.get("/limited")
        clock.advance(1.0)
        codes.append((await client.get("/limited")).status_code)
    assert codes == [200, 200, 429, 200]
    assert refused.headers["retry-after"] == "1"


def test_buckets_forget_the_longest_unused() -> None:
    buckets = TokenBuckets(1, 1, ManualClock(), max_keys=2)
    assert [buckets.take(key) for key in "aab"] == [0.0, 1.0, 0.0]
    assert buckets.take("c") == 0.0
    assert buckets.take("a") == 0.0, "forgotten, so it starts full"


async def test_a_stop_lets_the_running_request_finish() -> None:
    async with serving() as (server, client, _clock):
        slow = asyncio.create_task(client.get("/slow"))
        await asyncio.sleep(0.1)
        await server.drain()
        assert (await slow).json() == "done"
        with pytest.raises(httpx.ConnectError):
            await httpx.AsyncClient().get(server.url + "/healthz")


async def test_a_taken_port_is_a_clear_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = HttpServer(lambda *_: None, host="127.0.0.1", port=taken.getsockname()[1])  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match=r"http.bind: 127.0.0.1:\d+ cannot be used"):
            await server.start()
        await server.stop()


def test_settings() -> None:
    assert (HttpSettings().host, HttpSettings().port, HttpSettings().is_loopback) == ("127.0.0.1", 8080, True)
    assert HttpSettings(bind="[::1]:0").host == "::1"
    assert HttpSettings(public_url="https://x.example/").public_url == "https://x.example"
    for wrong in ("8080", "host:", "host:99999", "::1:80", ":80"):
        with pytest.raises(ValidationError):
            HttpSettings(bind=wrong)
    for url in ("ftp://x", "x.example", "https://x/?q=1"):
        with pytest.raises(ValidationError):
            HttpSettings(public_url=url)
