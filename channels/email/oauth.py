"""OAuth 2 for mailboxes: sign-in by device code (RFC 8628) and refresh (RFC 6749 §6), over aiohttp. Sign-in with a
browser: `browser_sign_in`.

The refresh token lies in a file of its own in the data folder that nobody else can read; access tokens stay in memory.
"""

import asyncio
import os
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import orjson

from channels.email.settings import OAuthSettings
from runtime.clock import Clock
from schemas.errors import SwitchboardError, TemporaryError

TIMEOUT_S = 30.0
MARGIN = timedelta(seconds=60)
"""An access token that ends so soon is renewed before it is used."""
_DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
_MICROSOFT = "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/{what}"
_MICROSOFT_SENDS = " https://outlook.office.com/SMTP.Send"
_MAX_BYTES = 256 * 1024


class OAuthUnavailable(TemporaryError):
    """The authorization server cannot be reached, or answered what is no answer."""


class SignInNeeded(SwitchboardError):
    """There is no token, or it was revoked: only a person can help."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    device: str
    token: str
    scope: str
    authorize: str = ""
    """The page that a browser opens."""


def endpoints(settings: OAuthSettings, *, sends: bool = False) -> Endpoints:
    """`sends`: the token signs in to the relay as well."""
    known = {
        "microsoft": Endpoints(
            _MICROSOFT.format(tenant=settings.tenant, what="devicecode"),
            _MICROSOFT.format(tenant=settings.tenant, what="token"),
            f"https://outlook.office.com/IMAP.AccessAsUser.All{_MICROSOFT_SENDS if sends else ''} offline_access",
            _MICROSOFT.format(tenant=settings.tenant, what="authorize"),
        ),
        "google": Endpoints(
            "https://oauth2.googleapis.com/device/code",
            "https://oauth2.googleapis.com/token",
            "https://mail.google.com/",
            "https://accounts.google.com/o/oauth2/v2/auth",
        ),
        "other": Endpoints("", "", ""),
    }[settings.provider]
    return Endpoints(
        settings.device_url or known.device,
        settings.token_url or known.token,
        settings.scope or known.scope,
        settings.authorize_url or known.authorize,
    )


@dataclass(frozen=True, slots=True)
class DeviceCode:
    """What a person has to do: open `url` and type `user_code`, within `expires_in` seconds."""

    url: str
    user_code: str
    expires_in: float
    interval: float
    device_code: str = field(repr=False)


class TokenFile:
    """One account's refresh token. Written whole or not at all, with mode 0600 in a folder of mode 0700."""

    def __init__(self, data_dir: Path, account: str) -> None:
        self.path = data_dir / "oauth" / f"{quote(account, safe='')}.json"

    def load(self) -> str | None:
        """Raises SignInNeeded when others can read it: then it is a secret no more."""
        try:
            if self.path.stat().st_mode & 0o077:
                raise SignInNeeded(f"{self.path}: others can read this token", hint=f"chmod 600 {self.path}")
            found = orjson.loads(self.path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, orjson.JSONDecodeError):
            return None
        token = found.get("refresh_token") if isinstance(found, dict) else None
        return token if isinstance(token, str) and token else None

    def save(self, refresh_token: str) -> None:
        """Raises OSError."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor, scratch = tempfile.mkstemp(prefix=".token-", dir=self.path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(orjson.dumps({"refresh_token": refresh_token}))
                file.flush()
                os.fsync(file.fileno())
            Path(scratch).replace(self.path)
        except BaseException:
            Path(scratch).unlink(missing_ok=True)
            raise


class Tokens:
    """Access tokens of one account, renewed when they are about to end."""

    def __init__(self, settings: OAuthSettings, file: TokenFile, clock: Clock) -> None:
        self._settings = settings
        self._file = file
        self._clock = clock
        self._one = asyncio.Lock()
        self._access: str | None = None
        self._until = clock.now()

    async def access(self) -> str:
        """Raises OAuthUnavailable, SignInNeeded."""
        async with self._one:
            if self._access is not None and self._clock.now() < self._until - MARGIN:
                return self._access
            return await self._refresh()

    def refused(self, token: str) -> None:
        """A server did not take it, although it should be good: the next one is a fresh one."""
        if token == self._access:
            self._access = None

    async def _refresh(self) -> str:
        self._access = None
        given = self._settings.refresh_token
        refresh = self._file.load() or (given.get_secret_value() if given else None)
        if refresh is None:
            raise SignInNeeded("nobody has signed in to this mailbox yet", hint="switchboard channels login ACCOUNT")
        status, answer = await _post(
            endpoints(self._settings).token,
            {"grant_type": "refresh_token", "refresh_token": refresh, **_client(self._settings)},
        )
        if status != 200:
            _refuse(status, answer)
        return self._take(answer, refresh)

    def _take(self, answer: Mapping[str, Any], refresh: str) -> str:
        access = answer.get("access_token")
        if not isinstance(access, str) or not access:
            raise OAuthUnavailable("the authorization server gave no access token")
        renewed = answer.get("refresh_token")
        if isinstance(renewed, str) and renewed and renewed != refresh:
            try:
                self._file.save(renewed)
            except OSError as error:  # the old one may be good no more: better to know it now than after a restart
                raise OAuthUnavailable(f"the renewed token could not be written: {error}") from error
        self._access = access
        self._until = self._clock.now() + timedelta(seconds=_seconds(answer.get("expires_in"), 300.0))
        return access


async def begin_sign_in(settings: OAuthSettings, *, sends: bool = False) -> DeviceCode:
    """Raises OAuthUnavailable, SignInNeeded when the server refuses the client."""
    where = endpoints(settings, sends=sends)
    if not where.device:
        raise SignInNeeded("oauth.device_url is not set", hint="set it, or give a refresh_token")
    status, answer = await _post(where.device, {"scope": where.scope, **_client(settings)})
    if status != 200:
        _refuse(status, answer)
    url = answer.get("verification_uri") or answer.get("verification_url")  # Google's spelling
    values = (url, answer.get("user_code"), answer.get("device_code"))
    if not all(isinstance(value, str) and value for value in values):
        raise OAuthUnavailable("the authorization server gave no device code")
    return DeviceCode(
        url=str(url),
        user_code=str(answer["user_code"]),
        expires_in=_seconds(answer.get("expires_in"), 900.0),
        interval=_seconds(answer.get("interval"), 5.0),
        device_code=str(answer["device_code"]),
    )


async def finish_sign_in(
    settings: OAuthSettings,
    code: DeviceCode,
    file: TokenFile,
    *,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> None:
    """Wait until the person has agreed, and keep the token. Raises OAuthUnavailable, SignInNeeded, OSError."""
    interval, waited = code.interval, 0.0
    while waited < code.expires_in:
        await sleep(interval)
        waited += interval
        try:
            status, answer = await _post(
                endpoints(settings).token,
                {"grant_type": _DEVICE_GRANT, "device_code": code.device_code, **_client(settings)},
            )
        except OAuthUnavailable:  # RFC 8628 §3.5: go on, more slowly
            interval *= 2
            continue
        error = answer.get("error")
        if status == 200:
            _keep(answer, file)
            return
        if error == "slow_down":
            interval += 5.0
        elif error != "authorization_pending":
            _refuse(status, answer)
    raise SignInNeeded("nobody agreed in time", hint="start again")


async def keep_tokens(settings: OAuthSettings, form: Mapping[str, str], file: TokenFile) -> None:
    """Ask for tokens once, and keep the one that renews. Raises OAuthUnavailable, SignInNeeded, OSError."""
    status, answer = await _post(endpoints(settings).token, {**form, **_client(settings)})
    if status != 200:
        _refuse(status, answer)
    _keep(answer, file)


def _keep(answer: Mapping[str, Any], file: TokenFile) -> None:
    refresh = answer.get("refresh_token")
    if not isinstance(refresh, str) or not refresh:
        raise SignInNeeded("the authorization server gave no refresh token", hint="is the scope right?")
    file.save(refresh)


def _refuse(status: int, answer: Mapping[str, Any]) -> None:
    """A 4xx with an OAuth error is final; anything else may pass. The words are the server's, never a token."""
    error = answer.get("error")
    words = f"{status} {error or ''} {answer.get('error_description') or ''}"
    words = " ".join("".join(c if c.isprintable() else " " for c in words).split())[:200]
    final = 400 <= status < 500 and status != 429 and isinstance(error, str)
    if final and error not in ("temporarily_unavailable", "server_error"):
        raise SignInNeeded(
            f"the authorization server refuses: {words}", hint="sign in again: switchboard channels login ACCOUNT"
        )
    raise OAuthUnavailable(f"the authorization server says: {words}")


def _client(settings: OAuthSettings) -> dict[str, str]:
    found = {"client_id": settings.client_id}
    if settings.client_secret is not None:
        found["client_secret"] = settings.client_secret.get_secret_value()
    return found


async def _post(url: str, form: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
    """(status, the JSON object in the answer, {} if there is none). Secrets travel in the body, never in the URL."""
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)) as session,
            session.post(url, data=dict(form), allow_redirects=False) as response,
        ):
            raw = await response.content.read(_MAX_BYTES)
            status = response.status
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise OAuthUnavailable(f"{url}: {type(error).__name__}") from error
    try:
        answer = orjson.loads(raw)
    except orjson.JSONDecodeError:
        answer = {}
    return status, answer if isinstance(answer, dict) else {}


def _seconds(value: object, default: float) -> float:
    """Some servers write numbers as strings."""
    try:
        seconds = float(value) if isinstance(value, int | float | str) else default
    except ValueError:
        seconds = default
    return min(max(seconds, 1.0), 86_400.0)
