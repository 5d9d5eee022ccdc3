"""Signing in to mailboxes by OAuth 2, against a server that does as it is told."""

import asyncio
import itertools
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from channels.email.browser_sign_in import browser_sign_in, finish_browser_sign_in
from channels.email.oauth import (
    DeviceCode,
    OAuthUnavailable,
    SignInNeeded,
    TokenFile,
    Tokens,
    begin_sign_in,
    endpoints,
    finish_sign_in,
)
from channels.email.settings import OAuthSettings
from tests.kit.clock import ManualClock
from tests.kit.contacts import NOW
from tests.kit.oauth_server import OAuthServer

_boxes = itertools.count()


@pytest.fixture
def settings(oauth_server: OAuthServer) -> OAuthSettings:
    oauth_server.agreed, oauth_server.pending, oauth_server.down = None, [], False
    oauth_server.expires_in, oauth_server.rotate = 3600, False
    return OAuthSettings.model_validate(oauth_server.settings(client_secret="client's own"))


@pytest.fixture
def box() -> str:
    return f"box{next(_boxes)}@shop.example"


def held(server: OAuthServer, settings: OAuthSettings, folder: Path, box: str) -> tuple[Tokens, TokenFile, ManualClock]:
    file, clock = TokenFile(folder, "help"), ManualClock(NOW)
    file.save(server.refresh_token(box))
    return Tokens(settings, file, clock), file, clock


async def sign_in(settings: OAuthSettings, file: TokenFile) -> list[float]:
    """How long was waited before each poll."""
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    await finish_sign_in(settings, await begin_sign_in(settings), file, sleep=sleep)
    return waits


async def test_a_device_code_becomes_a_token_that_only_we_can_read(
    oauth_server: OAuthServer, settings: OAuthSettings, tmp_path: Path, box: str
) -> None:
    oauth_server.agreed = box
    oauth_server.pending = ["authorization_pending", "slow_down", "authorization_pending"]
    file = TokenFile(tmp_path, "a/../b")
    assert await sign_in(settings, file) == [1.0, 1.0, 6.0, 6.0]
    assert file.path.parent == tmp_path / "oauth", "an account's name leads nowhere else"
    assert file.path.stat().st_mode & 0o777 == 0o600
    assert file.path.parent.stat().st_mode & 0o777 == 0o700
    assert (await Tokens(settings, file, ManualClock(NOW)).access()).startswith("access-")


async def test_a_device_code_is_not_shown_with_its_secret_half(settings: OAuthSettings) -> None:
    code = await begin_sign_in(settings)
    assert (code.user_code, code.interval, code.expires_in) == ("ABCD-EFGH", 1.0, 600.0)
    assert "device-1" not in repr(code)


@pytest.mark.parametrize("error", ["access_denied", "expired_token", "invalid_client"])
async def test_a_refusal_ends_the_sign_in(
    oauth_server: OAuthServer, settings: OAuthSettings, tmp_path: Path, error: str
) -> None:
    oauth_server.pending = ["authorization_pending", error]
    with pytest.raises(SignInNeeded, match=error):
        await sign_in(settings, TokenFile(tmp_path, "help"))


async def test_a_code_that_nobody_types_runs_out(settings: OAuthSettings, tmp_path: Path) -> None:
    code = DeviceCode(url="u", user_code="c", expires_in=3.0, interval=1.0, device_code="device-1")
    with pytest.raises(SignInNeeded, match="in time"):
        await finish_sign_in(settings, code, TokenFile(tmp_path, "help"), sleep=lambda _: asyncio.sleep(0))


async def test_an_access_token_is_used_until_it_is_about_to_end(
    oauth_server: OAuthServer, settings: OAuthSettings, tmp_path: Path, box: str
) -> None:
    tokens, _, clock = held(oauth_server, settings, tmp_path, box)
    first = await tokens.access()
    clock.advance(3600 - 61)
    assert await tokens.access() == first
    clock.advance(2)
    second = await tokens.access()
    assert second != first
    tokens.refused(first)  # an old one: the one that is held is another
    assert await tokens.access() == second
    tokens.refused(second)
    assert await tokens.access() != second


async def test_many_who_ask_at_once_cause_one_refresh(
    oauth_server: OAuthServer, settings: OAuthSettings, tmp_path: Path, box: str
) -> None:
    tokens, _, _ = held(oauth_server, settings, tmp_path, box)
    before = len(oauth_server.forms)
    assert len(set(await asyncio.gather(*(tokens.access() for _ in range(10))))) == 1
    assert len(oauth_server.forms) == before + 1


async def test_a_token_that_is_renewed_with_each_use_survives_a_restart(
    oauth_server: OAuthServer, settings: OAuthSettings, tmp_path: Path, box: str
) -> None:
    oauth_server.rotate = True
    tokens, file, clock = held(oauth_server, settings, tmp_path, box)
    for _ in range(3):
        await tokens.access()
        tokens = Tokens(settings, file, clock)
    assert file.path.stat().st_mode & 0o777 == 0o600
    assert list(file.path.parent.iterdir()) == [file.path], "no scratch file is left"


async def test_a_revoked_token_needs_a_person_and_a_server_that_is_down_only_time(
    oauth_server: OAuthServer, settings: OAuthSettings, tmp_path: Path, box: str
) -> None:
    tokens, file, _ = held(oauth_server, settings, tmp_path, box)
    token = file.load()
    oauth_server.down = True
    with pytest.raises(OAuthUnavailable) as waits:
        await tokens.access()
    oauth_server.down = False
    oauth_server.revoke(box)
    with pytest.raises(SignInNeeded, match="revoked") as refused:
        await tokens.access()
    assert "switchboard channels login" in refused.value.hint
    assert token is not None
    assert token not in str(waits.value) + str(refused.value)


async def test_nobody_listens_there(settings: OAuthSettings, tmp_path: Path) -> None:
    nowhere = settings.model_copy(update={"token_url": "http://127.0.0.1:1/token"})
    file = TokenFile(tmp_path, "help")
    file.save("refresh")
    with pytest.raises(OAuthUnavailable):
        await Tokens(nowhere, file, ManualClock(NOW)).access()


async def test_without_a_token_somebody_has_to_sign_in_and_one_from_elsewhere_will_do(
    oauth_server: OAuthServer, settings: OAuthSettings, tmp_path: Path, box: str
) -> None:
    file = TokenFile(tmp_path, "help")
    with pytest.raises(SignInNeeded, match="nobody has signed in"):
        await Tokens(settings, file, ManualClock(NOW)).access()
    given = OAuthSettings.model_validate(oauth_server.settings(refresh_token=oauth_server.refresh_token(box)))
    assert await Tokens(given, file, ManualClock(NOW)).access()


def test_a_token_that_others_can_read_is_not_used(tmp_path: Path) -> None:
    file = TokenFile(tmp_path, "help")
    file.save("refresh")
    assert file.load() == "refresh"
    file.path.chmod(0o644)
    with pytest.raises(SignInNeeded, match="others can read"):
        file.load()
    file.path.chmod(0o600)
    file.path.write_bytes(b"{damaged")
    assert file.load() is None


@pytest.mark.parametrize("provider", ["microsoft", "google"])
def test_the_known_providers_need_no_addresses(provider: str) -> None:
    where = endpoints(OAuthSettings.model_validate({"client_id": "id", "provider": provider, "tenant": "contoso"}))
    assert where.device.startswith("https://")
    assert where.token.startswith("https://")
    assert where.scope
    if provider == "microsoft":
        assert "/contoso/" in where.token


async def browse(url: str) -> int:
    """What a browser does whose owner agrees, or does not: follow the redirects."""
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        await response.read()
        return response.status


async def test_a_browser_comes_back_with_a_code_that_becomes_a_token(
    oauth_server: OAuthServer, settings: OAuthSettings, tmp_path: Path, box: str
) -> None:
    oauth_server.agreed = box
    file = TokenFile(tmp_path, "help")
    async with browser_sign_in(settings, box, sends=False) as begun:
        assert begun.verifier not in begun.url
        assert begun.verifier not in repr(begun)
        await browse(f"{begun.redirect}?state=another&code=evil")
        assert not begun.came.done(), "somebody else's visit ends nothing"
        assert await browse(begun.url) == 200
        await finish_browser_sign_in(settings, begun, file)
    assert (await Tokens(settings, file, ManualClock(NOW)).access()).startswith("access-")
    assert await browse_fails(begun.redirect), "nothing listens any more"


async def browse_fails(url: str) -> bool:
    try:
        await browse(url)
    except aiohttp.ClientConnectionError:
        return True
    return False


async def test_who_does_not_agree_gives_no_token(settings: OAuthSettings, tmp_path: Path, box: str) -> None:
    file = TokenFile(tmp_path, "help")
    async with browser_sign_in(settings, box, sends=False) as begun:
        await browse(begun.url)
        with pytest.raises(SignInNeeded, match="access_denied"):
            await finish_browser_sign_in(settings, begun, file)
    assert file.load() is None


async def test_a_code_is_worth_nothing_without_its_verifier(
    oauth_server: OAuthServer, settings: OAuthSettings, tmp_path: Path, box: str
) -> None:
    oauth_server.agreed = box
    async with browser_sign_in(settings, box, sends=False) as begun:
        await browse(begun.url)
        with pytest.raises(SignInNeeded, match="invalid_grant"):
            await finish_browser_sign_in(settings, replace(begun, verifier="guessed"), TokenFile(tmp_path, "help"))


async def test_an_address_of_another_sign_in_is_not_taken(settings: OAuthSettings, box: str) -> None:
    async with browser_sign_in(settings, box, sends=False) as begun:
        with pytest.raises(SignInNeeded, match="another sign-in"):
            begun.code_in("http://127.0.0.1:1/?state=x&code=y")
        assert begun.code_in(f"http://127.0.0.1:1/?state={begun.state}&code=pasted") == "pasted"


def test_google_and_microsoft_have_pages_for_a_browser() -> None:
    for provider in ("google", "microsoft"):
        assert endpoints(OAuthSettings(provider=provider, client_id="c")).authorize.startswith("https://")
