"""Puts routers together into one application with health, metrics and limits."""

from collections.abc import Callable, Mapping, Sequence

from fastapi import APIRouter, FastAPI
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp

from runtime.http import problem
from runtime.http.middleware import BodyLimit, Gate, SecurityHeaders
from runtime.metrics import Metrics

Readiness = Callable[[], dict[str, bool]]
"""What this process needs, by name, and whether it is there."""


def create_app(
    title: str,
    routers: Sequence[APIRouter],
    *,
    readiness: Readiness,
    metrics: Metrics,
    max_body_bytes: int,
    version: str = "0",
    mounts: Mapping[str, ASGIApp] | None = None,
    is_open: Callable[[], bool] = lambda: True,
    waits_for: Callable[[], str] = lambda: "",
    larger: Mapping[str, int] | None = None,
) -> FastAPI:
    """The application: `routers`, `mounts` (path to ASGI app), /healthz, /readyz, /metrics, /openapi.json.
    Until `is_open`, all but the first three is answered with 503; `waits_for` is what /readyz says about that.
    `larger`: paths that take larger bodies, and how large.

    The interactive documentation pages are off: they load scripts from elsewhere.
    """
    app = FastAPI(title=title, version=version, docs_url=None, redoc_url=None)
    problem.install(app)

    @app.get("/healthz", include_in_schema=False)
    async def healthz() -> Response:
        return JSONResponse({"status": "ok"})

    @app.get("/readyz", include_in_schema=False)
    async def readyz() -> Response:
        parts = readiness()
        ready = all(parts.values())
        said = {"waits_for": what} if (what := waits_for()) else {}
        return JSONResponse({"ready": ready, "parts": parts, **said}, status_code=200 if ready else 503)

    @app.get("/metrics", include_in_schema=False)
    async def metrics_page() -> Response:
        return Response(await metrics.page(), media_type=metrics.content_type)

    @app.get("/favicon.ico", include_in_schema=False)
    async def favicon() -> Response:
        return Response(status_code=204)  # browsers ask for it on every page

    for router in routers:
        app.include_router(router)
    for path, mounted in (mounts or {}).items():
        app.mount(path, mounted)
    # The last one added is the outermost, so that a refusal by size carries the headers too.
    app.add_middleware(Gate, is_open=is_open)
    app.add_middleware(BodyLimit, max_bytes=max_body_bytes, larger=larger)
    app.add_middleware(SecurityHeaders)
    return app
