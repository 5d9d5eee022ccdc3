"""Drafts of a policy, as the command line takes them: what is none is not taken for an empty one."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from rules.model import PolicySource
from schemas.errors import ConfigError
from switchboard.cli.rules_inputs import policy_from
from switchboard.cli.rules_versions import _usable


def draft(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_a_file_of_rules_without_its_dash_is_no_empty_policy(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a file of rules is a list") as error:
        policy_from(draft(tmp_path, "r.yaml", "name: x\ntags: t\n"))
    assert "dash" in error.value.hint


def test_a_misspelt_section_of_a_draft_is_told(tmp_path: Path) -> None:
    text = "queues: {sales: {}}\ndefault_queue: sales\npriorty: {}\n"
    with pytest.raises(ConfigError, match=r"switchboard.yaml:3: unknown section 'priorty' \(did you mean priority\?\)"):
        policy_from(draft(tmp_path, "switchboard.yaml", text).parent)


def test_accounts_do_not_lose_their_queue_to_a_draft() -> None:
    settings = SimpleNamespace(queue="support")
    found = cast(Any, SimpleNamespace(channels={"email": {"help": settings}}))
    with pytest.raises(ConfigError, match=r"channels\.email\.help\.queue: the policy has no queue 'support'"):
        _usable(PolicySource.model_validate({"queues": {"sales": {}}, "default_queue": "sales"}), found)
