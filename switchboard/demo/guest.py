"""In the demo the live page may sign in as a guest agent, without anybody typing a token."""

from fastapi import APIRouter, Request

from runtime.http.problem import Problem

LOOPBACK = ("127.0.0.1", "::1")


def guest_router(token: str) -> APIRouter:
    """POST /api/demo/session gives the guest's token, to this machine only."""
    router = APIRouter()

    @router.post("/api/demo/session", include_in_schema=False)
    async def session(request: Request) -> dict[str, str]:
        # A page of another site cannot read the answer (no CORS), and cannot send this header without asking.
        if request.client is None or request.client.host not in LOOPBACK or "x-switchboard-demo" not in request.headers:
            raise Problem(403, "The demo's guest sits at this machine.")
        return {"token": token}

    return router
