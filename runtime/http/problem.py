"""Errors as RFC 9457 problem documents (`application/problem+json`)."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from runtime.logs import get_logger
from schemas.errors import NotFound, StateConflict, SwitchboardError

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 5
_MAX_ERRORS = 20

log = get_logger(__name__)


class Problem(SwitchboardError):
    """An error with an HTTP status of its own. `detail` and `extra` are shown to the caller."""

    def __init__(
        self,
        status: int,
        detail: str = "",
        *,
        code: str = "",
        headers: Mapping[str, str] | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(detail or HTTPStatus(status).phrase)
        self.status, self.detail, self.code = status, detail, code
        self.headers = dict(headers or {})
        self.extra = extra

    def response(self) -> Response:
        return problem_response(self.status, self.detail, code=self.code, headers=self.headers, extra=self.extra)


def problem_response(
    status: int,
    detail: str = "",
    *,
    code: str = "",
    headers: Mapping[str, str] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> Response:
    """A problem document. `code` is a stable word for programs; `extra` members stand beside the standard ones."""
    body: dict[str, Any] = {
        **(extra or {}),
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
    }
    if detail:
        body["detail"] = detail
    if code:
        body["code"] = code
    return Response(
        orjson.dumps(body, default=str), status_code=status, headers=dict(headers or {}), media_type=MEDIA_TYPE
    )


def from_error(error: SwitchboardError) -> Response:
    """The answer to one of our own errors: temporary ones ask to come back, the others say what is wrong."""
    extra = {"hint": error.hint} if error.hint else {}
    code = type(error).__name__
    if isinstance(error, Problem):
        return error.response()
    if error.temporary:
        retry = {"Retry-After": str(RETRY_AFTER_S)}
        return problem_response(503, str(error), code=code, headers=retry, extra=extra)
    status = 404 if isinstance(error, NotFound) else 409 if isinstance(error, StateConflict) else 422
    return problem_response(status, str(error), code=code, extra=extra)


async def _on_ours(_: Request, error: Exception) -> Response:
    assert isinstance(error, SwitchboardError)
    return from_error(error)


async def _on_http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    detail = error.detail if error.detail != HTTPStatus(error.status_code).phrase else ""
    return problem_response(error.status_code, str(detail), headers=error.headers)


async def _on_validation(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    # Only place and message: pydantic's own list repeats the input, which may hold a password.
    errors = [
        {"place": ".".join(str(part) for part in each["loc"]), "message": each["msg"]}
        for each in error.errors()[:_MAX_ERRORS]
    ]
    return problem_response(422, "The request does not have the expected form.", extra={"errors": errors})


async def _on_anything(request: Request, error: Exception) -> Response:
    log.error("unhandled error in a request", path=request.url.path, exc_info=error)
    return problem_response(500, "Something broke on our side. It has been logged.")


def install(app: FastAPI) -> None:
    """Make every error of `app` a problem document."""
    app.add_exception_handler(SwitchboardError, _on_ours)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(RequestValidationError, _on_validation)
    app.add_exception_handler(Exception, _on_anything)
