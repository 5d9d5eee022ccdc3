"""An OAuth 2 server that does as it is told: device code, refresh with rotation, revocation, token info."""

import base64
import hashlib
import itertools
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit


class OAuthServer:
    """Runs in a thread. `agree` and `revoke` are what the person does."""

    def __init__(self) -> None:
        self.agreed: str | None = None
        """The mailbox whose owner has agreed to the device code."""
        self.pending: list[str] = []
        """Errors that the next polls get before anything else."""
        self.down = False
        self.expires_in: Any = 3600
        self.rotate = False
        self.forms: list[dict[str, str]] = []
        self._refresh: dict[str, str] = {}
        self._access: dict[str, str] = {}
        self._numbers = itertools.count(1)
        self._codes: dict[str, dict[str, str]] = {}
        """Codes of browser sign-ins, with what was asked."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="oauth server")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def settings(self, **more: Any) -> dict[str, Any]:
        urls = {f"{name}_url": f"{self.url}/{name}" for name in ("device", "token", "authorize")}
        return {"provider": "other", "client_id": "client", "scope": "imap offline", **urls, **more}

    def __enter__(self) -> "OAuthServer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def refresh_token(self, mailbox: str) -> str:
        """As if its owner had agreed."""
        token = f"refresh-{next(self._numbers)}"
        self._refresh[token] = mailbox
        return token

    def revoke(self, mailbox: str) -> None:
        """Every token of it."""
        self._refresh = {token: owner for token, owner in self._refresh.items() if owner != mailbox}
        self.expire(mailbox)

    def expire(self, mailbox: str) -> None:
        """Its access tokens, before their time."""
        self._access = {token: owner for token, owner in self._access.items() if owner != mailbox}

    def _answer(self, path: str, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        if self.down:
            return 503, {}
        if path == "/device":
            return 200, {
                "device_code": "device-1",
                "user_code": "ABCD-EFGH",
                "verification_uri": f"{self.url}/activate",
                "expires_in": "600",
                "interval": 1,
            }
        if path == "/tokeninfo":
            owner = self._access.get(form.get("access_token", ""))
            return (200, {"email": owner}) if owner else (401, {"error": "invalid_token"})
        if path != "/token":
            return 404, {}
        if form.get("grant_type") == "refresh_token":
            owner = self._refresh.get(form.get("refresh_token", ""))
            if owner is None:
                return 400, {"error": "invalid_grant", "error_description": "the token was revoked"}
            return 200, self._tokens(owner, form["refresh_token"])
        if form.get("grant_type") == "authorization_code":
            asked = self._codes.pop(form.get("code", ""), {"redirect_uri": "", "code_challenge": "", "owner": ""})
            digest = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).rstrip(b"=")
            if (digest.decode(), form["redirect_uri"]) != (asked["code_challenge"], asked["redirect_uri"]):
                return 400, {"error": "invalid_grant"}
            return 200, self._tokens(asked["owner"], None)
        if self.pending:
            return 400, {"error": self.pending.pop(0)}
        if self.agreed is None:
            return 400, {"error": "authorization_pending"}
        return 200, self._tokens(self.agreed, None)

    def authorize(self, asked: dict[str, str]) -> str:
        """Where the page sends the browser (RFC 6749 §4.1.2), when its owner agrees or not."""
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        if self.agreed is None:
            return f"{asked['redirect_uri']}?{urlencode({'error': 'access_denied', 'state': asked['state']})}"
        code = f"code-{next(self._numbers)}"
        self._codes[code] = {**asked, "owner": self.agreed}
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}"

    def _tokens(self, owner: str, refresh: str | None) -> dict[str, Any]:
        access = f"access-{next(self._numbers)}"
        self._access[access] = owner
        found: dict[str, Any] = {"access_token": access, "token_type": "Bearer", "expires_in": self.expires_in}
        if refresh is None or self.rotate:
            if refresh is not None:
                del self._refresh[refresh]
            found["refresh_token"] = self.refresh_token(owner)
        return found

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                if parts.path == "/authorize":
                    self.send_response(302)
                    asked = {k: v[0] for k, v in parse_qs(parts.query).items()}
                    self.send_header("Location", owner.authorize(asked))
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                self._say(*owner._answer(parts.path, {k: v[0] for k, v in parse_qs(parts.query).items()}))

            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
                form = {k: v[0] for k, v in parse_qs(raw).items()}
                assert "?" not in self.path, "secrets travel in the body"
                owner.forms.append(form)
                self._say(*owner._answer(self.path, form))

            def _say(self, status: int, answer: dict[str, Any]) -> None:
                body = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        return Handler
