"""Static files out of a package."""

from importlib.resources import files
from os import PathLike, stat_result
from pathlib import Path

from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope


class _Revalidated(StaticFiles):
    def file_response(
        self, full_path: str | PathLike[str], stat_result: stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        response = super().file_response(full_path, stat_result, scope, status_code)
        # Asked again each time, answered 304 by the ETag: a page is never newer than its script.
        response.headers["Cache-Control"] = "no-cache"
        return response


def static_files(package: str, folder: str, *, index: bool = False) -> StaticFiles:
    """An app to mount that serves `folder` of `package`, with ETags; no listing, no links out of it.

    With `index`, a folder's address serves its index.html.
    """
    directory = Path(str(files(package).joinpath(folder)))
    return _Revalidated(directory=directory, html=index, follow_symlink=False)
