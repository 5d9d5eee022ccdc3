"""A short run of `make chaos NAME=smtp`, and that it does notice a sender which sends again what may have arrived."""

from dataclasses import replace
from pathlib import Path

import pytest

from channels.email.sending import sender, transfer
from schemas.states import DeliveryState
from tests.chaos.smtp import run


async def test_every_reply_has_one_true_end(tmp_path: Path) -> None:
    result = await run(200, 7, tmp_path)
    assert result.violations == []
    assert result.sent + result.failed + result.unknown == 200
    assert result.unknown, "of so many some get no answer to the dot"


async def test_a_sender_that_tries_again_after_the_dot_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hasty(*args: object) -> transfer.Outcome:
        outcome = await transfer.transfer(*args)  # type: ignore[arg-type]
        again = outcome.state is DeliveryState.UNKNOWN
        return replace(outcome, state=DeliveryState.DEFERRED) if again else outcome

    monkeypatch.setattr(sender, "transfer", hasty)
    result = await run(200, 7, tmp_path)
    assert any(violation.startswith("came twice") for violation in result.violations)
