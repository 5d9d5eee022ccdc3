"""A store that cannot be opened says where it should be and what to do."""

from pathlib import Path

import pytest

from schemas.errors import ConfigError, StoreUnavailable
from store.database import Database


async def test_a_store_that_was_never_made_is_named_with_what_makes_it(tmp_path: Path) -> None:
    database = Database.at("sqlite:///switchboard.db", tmp_path / "data", read_only=True)
    with pytest.raises(StoreUnavailable) as caught:
        await database.start()
    assert str(caught.value) == f"there is no store at {tmp_path / 'data' / 'switchboard.db'} yet"
    assert caught.value.hint == "switchboard migrate"
    await database.stop()


@pytest.mark.parametrize("read_only", [True, False])
async def test_a_file_that_is_no_database_is_a_mistake_of_the_configuration(tmp_path: Path, read_only: bool) -> None:
    (tmp_path / "switchboard.db").write_bytes(b"these are notes of mine " * 1000)
    database = Database.at("sqlite:///switchboard.db", tmp_path, read_only=read_only)
    with pytest.raises(ConfigError) as caught:
        await database.start()
    assert str(caught.value) == f"{tmp_path / 'switchboard.db'} cannot be used: file is not a database"
    await database.stop()
