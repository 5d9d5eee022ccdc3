"""The channel that CONTRIBUTING walks through keeps the contract of all channels."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import channels
from channels import registry
from schemas.errors import ConfigError
from tests.contract.channel_contract import ChannelContract
from tests.kit.edge import Edge, edge

EXAMPLE = Path(__file__).parents[2] / "examples" / "suggestion_box"


class NoteDoor:
    name = "web_form"

    def __init__(self, found: Edge, folder: Path) -> None:
        self.edge = found
        self.folder = folder

    async def _drop(self, name: str, data: bytes, wait: float = 5.0) -> bool:
        (self.folder / name).write_bytes(data)
        try:
            async with asyncio.timeout(wait):
                while (self.folder / name).exists():
                    await asyncio.sleep(0.02)
        except TimeoutError:
            (self.folder / name).unlink()
            return False
        return True

    async def send(self, key: str, text: str) -> bool:
        return await self._drop(f"{key}.txt", text.encode(), 1.0 if self.edge.intake.away else 5.0)

    async def hurl(self, data: bytes) -> None:
        assert await self._drop("hostile.txt", data)

    async def oversize(self) -> bool:
        await self._drop("big.txt", b"x" * 100_000)
        return (await self.edge.balance()).total.states.get("dead_letter") == 1


class TestSuggestionBox(ChannelContract):
    @pytest.fixture
    async def door(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[NoteDoor]:
        # As if the file lay in channels/: found by its name, and configured under it.
        monkeypatch.setattr(channels, "__path__", [*channels.__path__, str(EXAMPLE)])
        async with edge(tmp_path, {"suggestion_box": {"box": {}}}) as found:
            yield NoteDoor(found, tmp_path / "notes")
        sys.modules.pop("channels.suggestion_box", None)


@pytest.mark.parametrize("name", ["fax", "port", "registry", "no such", ""])
def test_what_is_no_channel_is_told_with_those_that_are(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        registry.channel(name)
    assert "one of email, chat" in caught.value.hint
