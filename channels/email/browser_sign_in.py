"""Signing in with a browser on this machine: authorization code with PKCE and a loopback redirect (RFC 8252, RFC 7636).

For providers whose device codes do not cover mail, such as Google. The address that the browser opens holds no secret:
of the verifier it has the digest only, and a code is worth nothing without the verifier.
"""

import asyncio
import base64
import hashlib
import hmac
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlencode, urlsplit

from aiohttp import web

from channels.email.oauth import OAuthUnavailable, SignInNeeded, TokenFile, endpoints, keep_tokens
from channels.email.settings import OAuthSettings

WAIT_S = 600.0
"""How long somebody may take to agree."""
_DONE = "<!doctype html><html lang=en><title>Switchboard</title><p>Signed in. This window may be closed."
_FAILED = "<!doctype html><html lang=en><title>Switchboard</title><p>That did not work. The terminal says why."


@dataclass(frozen=True, slots=True)
class BrowserSignIn:
    """`url`: what a person has to open, and agree."""

    url: str
    redirect: str
    state: str = field(repr=False)
    verifier: str = field(repr=False)
    came: "asyncio.Future[str]" = field(repr=False)
    """The address at which the browser ended, once it has."""

    def code_in(self, address: str) -> str:
        """The code in the address that the browser ended at. Raises SignInNeeded."""
        found = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        if not hmac.compare_digest(found.get("state", ""), self.state):
            raise SignInNeeded("the browser came back from another sign-in", hint="start again")
        if "code" not in found:
            words = " ".join("".join(c if c.isprintable() else " " for c in found.get("error", "no code")).split())
            raise SignInNeeded(f"the authorization server refuses: {words[:200]}", hint="start again and agree")
        return found["code"]


@asynccontextmanager
async def browser_sign_in(settings: OAuthSettings, login_hint: str, *, sends: bool) -> AsyncIterator[BrowserSignIn]:
    """Listens on loopback for the browser to come back. Raises SignInNeeded when no page is known to open."""
    where = endpoints(settings, sends=sends)
    if not where.authorize:
        raise SignInNeeded("oauth.authorize_url is not set", hint="set it, or sign in by device code")
    came: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    state, verifier = secrets.token_urlsafe(24), secrets.token_urlsafe(48)

    async def back(request: web.Request) -> web.Response:
        is_ours = hmac.compare_digest(request.query.get("state", ""), state)
        if is_ours and not came.done():  # somebody else's visit must not end the wait
            came.set_result(str(request.rel_url))
        text = _DONE if is_ours and "code" in request.query else _FAILED
        return web.Response(text=text, content_type="text/html")

    app = web.Application()
    app.router.add_get("/", back)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        redirect = f"http://127.0.0.1:{port}/"
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        query = {
            "response_type": "code",
            "client_id": settings.client_id,
            "redirect_uri": redirect,
            "scope": where.scope,
            "state": state,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
            "login_hint": login_hint,
            # Google gives a refresh token only when asked like this.
            "access_type": "offline",
            "prompt": "consent",
        }
        join = "&" if "?" in where.authorize else "?"
        yield BrowserSignIn(f"{where.authorize}{join}{urlencode(query)}", redirect, state, verifier, came)
    finally:
        await runner.cleanup()


async def finish_browser_sign_in(settings: OAuthSettings, begun: BrowserSignIn, file: TokenFile) -> None:
    """Wait for the browser to come back, and keep the token. Raises OAuthUnavailable, SignInNeeded, OSError."""
    try:
        async with asyncio.timeout(WAIT_S):
            address = await begun.came
    except TimeoutError:
        raise SignInNeeded("nobody agreed in time", hint="start again") from None
    form = {
        "grant_type": "authorization_code",
        "code": begun.code_in(address),
        "redirect_uri": begun.redirect,
        "code_verifier": begun.verifier,
    }
    await keep_tokens(settings, form, file)


__all__ = ["BrowserSignIn", "OAuthUnavailable", "SignInNeeded", "browser_sign_in", "finish_browser_sign_in"]
