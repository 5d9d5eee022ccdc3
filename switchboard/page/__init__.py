"""The live page: a customer, the queue and an agent side by side, the ledger's sum on top; and the rules page."""

from importlib.resources import files
from pathlib import Path

from fastapi import APIRouter
from starlette.responses import FileResponse, HTMLResponse, Response

from runtime.http.problem import Problem

_FOLDER = Path(str(files("switchboard.page").joinpath("static")))
_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".html": "text/html"}
_FILES = {path.relative_to(_FOLDER).as_posix(): path for path in _FOLDER.rglob("*") if path.suffix in _TYPES}


def page_router(*, demo: bool = False) -> APIRouter:
    """`/`, `/rules` and what they need below `/static/`. Only files that were there at the start are served.

    `demo`: the page asks for a guest's session by itself.
    """
    router = APIRouter(include_in_schema=False)

    def page(name: str) -> Response:
        if not demo:
            return _file(name)
        text = _FILES[name].read_text(encoding="utf-8").replace("<body>", "<body data-demo>")
        return HTMLResponse(text, headers={"Cache-Control": "no-cache"})

    @router.get("/")
    async def index() -> Response:
        return page("index.html")

    @router.get("/rules")
    async def rules() -> Response:
        return page("rules.html")

    @router.get("/static/{path:path}")
    async def static(path: str) -> Response:
        return _file(path)

    return router


def _file(name: str) -> Response:
    path = _FILES.get(name)
    if path is None:
        raise Problem(404, "There is no such page.")
    return FileResponse(path, media_type=_TYPES[path.suffix], headers={"Cache-Control": "no-cache"})
